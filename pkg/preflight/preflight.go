// Package preflight finds out before an installation what a namespace of a cluster lacks for it, and says what to do about each: APIs,
// versions, rights, Secrets, certificates, and pods that the namespace would refuse. It changes nothing.
package preflight

import (
	"context"
	"fmt"
	"log/slog"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"

	"github.com/osbs-tekton/osbs/pkg/deploy"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

// Level says how much a finding matters.
type Level string

// The levels. With an error the installation would not work.
const (
	OK      Level = "ok"
	Warning Level = "warning"
	Error   Level = "error"
)

// Finding is one thing that was looked at.
type Finding struct {
	Level Level `json:"level"`
	// Subject is what was looked at, in a few words; What is what was found.
	Subject string `json:"subject"`
	What    string `json:"what"`
	// Why says what needs it, and Do what would be right; both are empty if all is well.
	Why string `json:"why,omitempty"`
	Do  string `json:"do,omitempty"`
	// Kind is that of an error.
	Kind failure.Kind `json:"kind,omitempty"`
}

// Secret is one that the installation expects in the namespace.
type Secret struct {
	Name string
	// Types are alternatives; none means any.
	Types []string
	// Keys are alternatives, each a list of keys that belong together; none means any.
	Keys [][]string
	// For is who uses it for what. Optional: without it, whoever wants it works without credentials.
	For      string
	Optional bool
	// Create is the command that makes it.
	Create string
}

// Certificates are a key of a ConfigMap or of a Secret.
type Certificates struct {
	ConfigMap, Secret, Key string
	// For is who trusts them.
	For string
}

// Options say what is looked at.
type Options struct {
	Kubernetes kubernetes.Interface
	// Target is the namespace; Objects are what will be applied there.
	Target  *deploy.Target
	Objects []*unstructured.Unstructured
	// Kinds are those of which older objects may have to be removed.
	Kinds        []schema.GroupVersionKind
	Secrets      []Secret
	Certificates []Certificates
	// Accounts are the service accounts of the pods, PullSecrets the Secrets of theirs that the configuration names.
	Accounts, PullSecrets []string
	// Force is that of the installation.
	Force bool
	Log   *slog.Logger
}

// Report is what a preflight has found.
type Report struct {
	Findings []Finding
	// Changes are what would become of the objects that the API server accepts.
	Changes []deploy.Change
}

// check is one run of a preflight.
type check struct {
	Options
	namespace string
	findings  []Finding
	changes   []deploy.Change
	// refused has the resources that the person may not create: a dry run of these says nothing more.
	refused map[schema.GroupVersionKind]bool
	// level is the Pod Security level that the namespace enforces, empty if that is not known.
	level string
}

// Run looks at everything, and returns what it has found: errors among it do not end it. An error is one of ctx.
func Run(ctx context.Context, o Options) (Report, error) {
	c := &check{Options: o, namespace: o.Target.Namespace, refused: map[schema.GroupVersionKind]bool{}}
	for _, look := range []func(context.Context){
		c.namespaceExists, c.apis, c.versions, c.rights, c.secrets, c.pullSecrets, c.certificates, c.storage, c.pods, c.objects,
	} {
		look(ctx)
		if ctx.Err() != nil {
			return Report{c.findings, c.changes}, context.Cause(ctx)
		}
	}
	return Report{c.findings, c.changes}, nil
}

// Err is an error of the kind of the first error among findings that says how many there are; nil if there is none.
func Err(findings []Finding) error {
	var first *Finding
	errors := 0
	for n := range findings {
		if findings[n].Level != Error {
			continue
		}
		errors++
		if first == nil {
			first = &findings[n]
		}
	}
	if first == nil {
		return nil
	}
	text := fmt.Sprintf("%s: %s", first.Subject, first.What)
	if errors > 1 {
		text += fmt.Sprintf(" (and %d more)", errors-1)
	}
	return failure.WithHint(failure.New(first.Kind, "nothing was installed, because the cluster lacks something: %s", text),
		"what the cluster lacks is listed above, each with what to do about it; --skip-preflight installs nevertheless")
}

// reason says why something could not be looked at.
func reason(err error) string {
	if apierrors.IsForbidden(err) {
		return "you may not"
	}
	return err.Error()
}

func (c *check) ok(subject, format string, args ...any) {
	c.findings = append(c.findings, Finding{Level: OK, Subject: subject, What: fmt.Sprintf(format, args...)})
}

func (c *check) warn(subject, what, why, do string) {
	c.findings = append(c.findings, Finding{Level: Warning, Subject: subject, What: what, Why: why, Do: do})
}

func (c *check) fail(kind failure.Kind, subject, what, why, do string) {
	c.findings = append(c.findings, Finding{Level: Error, Subject: subject, What: what, Why: why, Do: do, Kind: kind})
}
