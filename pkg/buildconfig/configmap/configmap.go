// Package configmap is the form in which a build config is stored: a labelled ConfigMap that carries OpenShift's own annotation for
// image triggers. Labels, annotations, data keys and JSON keys that others put there are kept through every update.
package configmap

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

// Labels and annotations of the ConfigMap.
const (
	LabelManagedBy = "app.kubernetes.io/managed-by"
	ManagedBy      = "osbs"
	// LabelKind tells build configs from whatever else the project may keep in ConfigMaps.
	LabelKind = "osbs.dev/kind"
	Kind      = "build-config"
	// LabelGitRepository, LabelGitBranch and LabelImageStream are for people to select by: what a label cannot hold is left out of
	// them. The exact values are in the data.
	LabelGitRepository = "osbs.dev/git-repository"
	LabelGitBranch     = "osbs.dev/git-branch"
	LabelImageStream   = "osbs.dev/image-stream"
	// AnnotationTriggers is OpenShift's, with its JSON.
	AnnotationTriggers = "image.openshift.io/triggers"
	// AnnotationPaused and AnnotationAutorebuild are what a person sets: paused to "true", autorebuild to "disabled".
	AnnotationPaused      = "osbs.dev/paused"
	AnnotationAutorebuild = "osbs.dev/autorebuild"
	// AnnotationRequested is a rebuild that a person has asked for: a time by RFC 3339, a space, and the user.
	AnnotationRequested = "osbs.dev/rebuild-requested"
)

// Keys of the data.
const (
	keyGitURL      = "git-url"
	keyGitBranch   = "git-branch"
	keyGitCommit   = "git-commit"
	keyParameters  = "parameters"
	keyImageStream = "image-stream"
	keyTags        = "tags"
	keyLastBuild   = "last-build"
)

// Selector selects the ConfigMaps that are build configs.
const Selector = LabelManagedBy + "=" + ManagedBy + "," + LabelKind + "=" + Kind

// To returns the ConfigMap of bc. It starts from the one that bc was read from, if any, and changes only what is the build config's.
func To(bc *buildconfig.BuildConfig) (*corev1.ConfigMap, error) {
	cm := &corev1.ConfigMap{}
	if stored, ok := bc.Stored.(*corev1.ConfigMap); ok && stored != nil {
		cm = stored.DeepCopy()
	}
	cm.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}
	cm.Name, cm.ResourceVersion = bc.Name, bc.ResourceVersion
	if cm.Labels == nil {
		cm.Labels = map[string]string{}
	}
	if cm.Annotations == nil {
		cm.Annotations = map[string]string{}
	}
	if cm.Data == nil {
		cm.Data = map[string]string{}
	}
	setLabels(cm.Labels, bc)
	set(cm.Annotations, AnnotationPaused, flag(bc.Paused, "true", cm.Annotations[AnnotationPaused]))
	set(cm.Annotations, AnnotationAutorebuild, flag(bc.Disabled, "disabled", cm.Annotations[AnnotationAutorebuild]))
	requested := ""
	if bc.Requested != nil {
		requested = bc.Requested.String()
	}
	set(cm.Annotations, AnnotationRequested, requested)
	triggers, err := encodeTriggers(bc.Triggers, cm.Annotations[AnnotationTriggers])
	if err != nil {
		return nil, fmt.Errorf("build config %s: %w", bc.Name, err)
	}
	set(cm.Annotations, AnnotationTriggers, triggers)
	if err := setData(cm.Data, bc); err != nil {
		return nil, fmt.Errorf("build config %s: %w", bc.Name, err)
	}
	return cm, nil
}

func setLabels(labels map[string]string, bc *buildconfig.BuildConfig) {
	labels[LabelManagedBy], labels[LabelKind] = ManagedBy, Kind
	repository := strings.TrimSuffix(strings.TrimRight(bc.GitURL, "/"), ".git")
	set(labels, LabelGitRepository, labelValue(repository[strings.LastIndexAny(repository, "/:")+1:]))
	set(labels, LabelGitBranch, labelValue(bc.GitBranch))
	set(labels, LabelImageStream, labelValue(bc.ImageStream))
}

func setData(data map[string]string, bc *buildconfig.BuildConfig) error {
	set(data, keyGitURL, bc.GitURL)
	set(data, keyGitBranch, bc.GitBranch)
	set(data, keyGitCommit, bc.GitCommit)
	set(data, keyImageStream, bc.ImageStream)
	set(data, keyTags, strings.Join(bc.Tags, "\n"))
	parameters, err := merge(bc.Parameters, data[keyParameters])
	if err != nil {
		return fmt.Errorf("encoding %s: %w", keyParameters, err)
	}
	set(data, keyParameters, parameters)
	if bc.LastBuild == nil {
		delete(data, keyLastBuild)
		return nil
	}
	last, err := merge(bc.LastBuild, data[keyLastBuild])
	if err != nil {
		return fmt.Errorf("encoding %s: %w", keyLastBuild, err)
	}
	set(data, keyLastBuild, last)
	return nil
}

// set stores a value, or removes the key of an empty one.
func set(m map[string]string, key, value string) {
	if value == "" {
		delete(m, key)
		return
	}
	m[key] = value
}

// flag is the value for on; when off, a value that others put there and that does not mean on stays.
func flag(on bool, value, stored string) string {
	switch {
	case on:
		return value
	case stored == value:
		return ""
	default:
		return stored
	}
}

// labelValue leaves out of s what a label's value cannot hold.
func labelValue(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', strings.ContainsRune("-_.", r):
			return r
		case r == '/':
			return '-'
		default:
			return -1
		}
	}, s)
	return strings.Trim(s[:min(len(s), 63)], "-_.")
}

// From returns the build config that a ConfigMap holds. A malformed one is failure.InvalidInput.
func From(cm *corev1.ConfigMap) (*buildconfig.BuildConfig, error) {
	bc := &buildconfig.BuildConfig{
		Name: cm.Name, ResourceVersion: cm.ResourceVersion, CreationTime: cm.CreationTimestamp.UTC(), Stored: cm,
		GitURL: cm.Data[keyGitURL], GitBranch: cm.Data[keyGitBranch], GitCommit: cm.Data[keyGitCommit],
		ImageStream: cm.Data[keyImageStream], Tags: strings.Fields(cm.Data[keyTags]),
		Paused: cm.Annotations[AnnotationPaused] == "true", Disabled: cm.Annotations[AnnotationAutorebuild] == "disabled",
	}
	if len(bc.Tags) == 0 {
		bc.Tags = nil
	}
	if cm.CreationTimestamp.IsZero() {
		bc.CreationTime = time.Time{}
	}
	var err error
	if bc.Triggers, err = decodeTriggers(cm.Annotations[AnnotationTriggers]); err != nil {
		return nil, failure.New(failure.InvalidInput, "build config %s: annotation %s: %w", cm.Name, AnnotationTriggers, err)
	}
	if text := cm.Annotations[AnnotationRequested]; text != "" {
		requested, err := buildconfig.ParseRequest(text)
		if err != nil {
			return nil, failure.New(failure.InvalidInput, "build config %s: annotation %s: %w", cm.Name, AnnotationRequested, err)
		}
		bc.Requested = &requested
	}
	if err := decode(cm.Data[keyParameters], &bc.Parameters); err != nil {
		return nil, failure.New(failure.InvalidInput, "build config %s: %s: %w", cm.Name, keyParameters, err)
	}
	if cm.Data[keyLastBuild] != "" {
		bc.LastBuild = &buildconfig.LastBuild{}
	}
	if err := decode(cm.Data[keyLastBuild], bc.LastBuild); err != nil {
		return nil, failure.New(failure.InvalidInput, "build config %s: %s: %w", cm.Name, keyLastBuild, err)
	}
	return bc, nil
}

func decode(text string, into any) error {
	if text == "" {
		return nil
	}
	return json.Unmarshal([]byte(text), into)
}

// merge encodes v as JSON, with the keys of the stored object that v's type does not know.
func merge(v any, stored string) (string, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	known := knownKeys(v)
	out := map[string]json.RawMessage{}
	if decode(stored, &out) != nil || out == nil { // what is malformed is replaced
		out = map[string]json.RawMessage{}
	}
	maps.DeleteFunc(out, func(key string, _ json.RawMessage) bool { return slices.Contains(known, key) })
	if err := json.Unmarshal(data, &out); err != nil {
		return "", err
	}
	if data, err = json.Marshal(out); err != nil {
		return "", err
	}
	return string(data), nil
}
