package config

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/go-containerregistry/pkg/name"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/registry"
	"github.com/osbs-tekton/osbs/tasks"
)

// rule says what a value must be, beyond its type. Load and the JSON schema are made from the same rules.
type rule struct {
	// enum are the values, if there are few.
	enum []string
	// pattern is a regular expression that the whole text matches; RE2 and ECMA 262 read it alike. longest bounds its characters.
	pattern string
	longest int
	// check finds what a pattern cannot say.
	check func(text string) error
	// accepted says what is accepted.
	accepted string
	// keys is the rule for the keys of a mapping.
	keys *rule
	// number says that a text may be written as a number, and empty that it may have no characters.
	number, empty bool
	// least and most bound a number, or the elements of a list.
	least, most int
	// unset is what the stage does if nothing is said, where Default has nothing.
	unset any
	// examples are for the schema.
	examples []any
	// needs is the key without which this one makes no sense.
	needs string
}

// Names of Kubernetes, and how long they may be.
const (
	labelPattern     = `^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	subdomainPattern = `^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	qualifiedPattern = `^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$`
	// quantityPattern bounds what Kubernetes computes with.
	quantityPattern = `^[0-9]{1,15}(\.[0-9]{0,9})?([numkMGTPE]|[KMGTPE]i|[eE][0-9]{1,2})?$`
	// maxName leaves room, of the 63 characters that a Service or a label can have, for what is put around the name of the Pipeline, such
	// as el-NAME or NAME-imagewatch, and for what makes the name of a PipelineRun unique.
	maxName = 40
	// maxAnnotations is Kubernetes' bound for all annotations of an object, in bytes.
	maxAnnotations = 256 << 10
)

// Rules that several keys have.
var (
	secretName = rule{pattern: subdomainPattern, longest: validation.DNS1123SubdomainMaxLength,
		accepted: "accepted is the name of an object: lower case letters, digits, - and ., a letter or digit at both ends"}
	namespaceName = rule{pattern: labelPattern, longest: validation.DNS1123LabelMaxLength,
		accepted: "accepted is a DNS label: at most 63 lower case letters, digits and -, a letter or digit at both ends"}
	dataKey  = rule{pattern: `^[-._a-zA-Z0-9]+$`, longest: validation.DNS1123SubdomainMaxLength, check: valid(validation.IsConfigMapKey), accepted: "accepted are letters, digits, -, _ and ."}
	duration = rule{pattern: `^([0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h))+$`, longest: 40, check: checkDuration,
		accepted: "accepted is a duration above zero, with units: 90s, 15m, 2h or 1h30m", examples: []any{"90s", "2h"}}
	quantity = rule{pattern: quantityPattern, longest: 30, number: true, check: checkQuantity,
		accepted: "accepted is a quantity such as 500m, 2, 512Mi or 4Gi", examples: []any{"500m", "4Gi"}}
	registryURI = rule{pattern: `^([hH][tT][tT][pP][sS]?://)?[^\s/@,]+(/+|/v2/*)?$`, longest: 1024, check: checkRegistry,
		accepted: "the form is [https://|http://]host[:port][/v2]", examples: []any{"registry.example.com:5000"}}
	image = rule{pattern: `^\S+$`, longest: 1024, check: checkImage, accepted: "accepted is an image, such as registry.example.com/osbs/build:1.0, best by digest",
		examples: []any{"registry.example.com/osbs/build@sha256:..."}}
	pulpName = rule{pattern: `^[A-Za-z0-9][-A-Za-z0-9_.]*$`, longest: 100, accepted: "accepted are letters, digits, -, _ and ., a letter or digit first"}
	labelKey = rule{pattern: qualifiedPattern, longest: 317, check: valid(validation.IsQualifiedName),
		accepted: "accepted is a label's key: letters, digits, -, _ and ., with an optional DNS name and / before them"}
	labelValue = rule{pattern: `^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$`, longest: validation.LabelValueMaxLength, empty: true,
		accepted: "accepted are at most 63 letters, digits, -, _ and ., a letter or digit at both ends"}
	proxyURL = rule{pattern: `^https?://[^\s/@]+/?$`, longest: 1024, check: checkProxy, accepted: "accepted is http://HOST:PORT or https://HOST:PORT",
		examples: []any{"http://proxy.example.com:3128"}}
	plainLine = rule{pattern: `^[^\x00-\x1f\x7f]+$`, longest: 1024, accepted: "accepted is one line of text"}
)

// rulesByKind are the rules of all keys, by their places' kinds.
var rulesByKind = map[string]rule{
	"name": {pattern: labelPattern, longest: maxName, examples: []any{"osbs"},
		accepted: "accepted is a DNS label of at most 40 characters, because the names of other objects begin with it: lower case letters, digits and -, a letter or digit at both ends"},
	"namespace":     namespaceName,
	"labels":        {keys: &siteLabel},
	"labels.*":      labelValue,
	"annotations":   {keys: &siteLabel},
	"annotations.*": {longest: maxAnnotations, empty: true},
	"layout":        {enum: []string{Chained, Balanced, Fused}, examples: []any{[]any{"clone, detect-base, lock, prepare", "build", "push, sync, import"}}},
	"layout[][]":    {enum: tasks.Stages()},
	"platforms":     {examples: []any{[]any{"linux/amd64", "linux/arm64"}}},
	"platforms[]": {pattern: `^linux/[a-z0-9]+(/[a-z0-9]+)?$`, longest: 60, check: checkPlatform,
		accepted: "accepted are linux/amd64, linux/arm64, linux/ppc64le, linux/s390x, and others in Go's words"},

	"git_secret":      secretName,
	"submodules":      {unset: true},
	"committer_name":  with(plainLine, unset("OSBS")),
	"committer_email": {pattern: `^[^\s@<>]+@[^\s@<>]+$`, longest: 254, accepted: "accepted is an email address", unset: "osbs@localhost", examples: []any{"osbs@example.com"}},

	"registry_uri":        {examples: registryURI.examples},
	"registry_uri[]":      registryURI,
	"registry_secret[]":   secretName,
	"pull_secret[]":       secretName,
	"registry_insecure[]": registryURI,
	"source_registry_uri": registryURI,
	"home_registry[]":     registryURI,

	"pulp_registry_name":      pulpName,
	"pulp_sync_registry_name": pulpName,
	"pulp_secret":             with(secretName, needs("pulp")),
	"pulp":                    {keys: &pulpName},
	"pulp.url": {pattern: `^https?://[^\s@/?#]+/?$`, longest: 1024, check: checkPulpURL,
		accepted: "accepted is https://host[:port] or http://host[:port], without credentials", examples: []any{"https://pulp.example.com"}},
	"pulp.api_prefix": {pattern: `^/([A-Za-z0-9_-]+/)*[A-Za-z0-9_-]*$`, longest: 253, accepted: "the form is /pulp/", unset: "/pulp/"},
	"pulp.secret":     secretName,
	"pulp.registry": {pattern: `^[^\s/@,]+$`, longest: 260, check: checkRegistry, accepted: "accepted is host[:port]",
		examples: []any{"registry.pulp.example.com"}},
	"pulp.repository_prefix": {pattern: `^[A-Za-z0-9][-A-Za-z0-9_.]*$`, longest: 100, accepted: "accepted are letters, digits, -, _ and ., a letter or digit first",
		examples: []any{"site-"}},
	"pulp.timeout":         with(duration, unset("30m")),
	"pulp.retain_versions": {least: 0, most: 100_000, unset: 0},

	"mirror_registry_uri":   {examples: registryURI.examples},
	"mirror_registry_uri[]": registryURI,
	"archive_dir": {pattern: `^[^/\x00-\x1f\x7f][^\x00-\x1f\x7f]*$`, longest: 1024, check: checkRelative, accepted: "accepted is a path below the top of archive_volume",
		needs: "archive_volume", examples: []any{"images/prod"}},
	"archive_format": {enum: []string{"oci", "docker"}, unset: "oci", needs: "archive_volume"},

	"repo_config":  {pattern: `^[^/\x00-\x1f\x7f][^\x00-\x1f\x7f]*$`, longest: 255, check: checkRelative, accepted: "accepted is a path in the repository", unset: ".osbs-repo-config"},
	"bump_release": {enum: []string{"after-build", "before-build", "never"}, unset: "after-build"},
	"early_cutoff": {unset: true},
	"lock_policy":  {enum: []string{"fail", "wait"}, unset: "fail"},
	"lock_timeout": with(duration, needs("lock_policy")),
	"layer_cache":  {unset: true},
	"format":       {enum: []string{"auto", "oci", "docker"}, unset: "auto"},
	"compression":  {enum: []string{"gzip", "zstd", "none"}, unset: "gzip"},
	"isolation":    {enum: []string{"chroot"}, unset: "chroot"},
	"jobs":         {least: 0, most: 1000, unset: 0},

	"build_security": {enum: []string{UserNamespace, Capabilities}},
	"timeout":        duration,
	"stages":         {keys: &rule{enum: tasks.Stages()}},

	"proxy.http":  proxyURL,
	"proxy.https": proxyURL,
	"proxy.no_proxy[]": {pattern: `^[^\s,"'$@]+$`, longest: 253, accepted: "accepted is a host, .domain, an address or a network such as 10.0.0.0/8, with :PORT or without",
		examples: []any{".example.com", "10.0.0.0/8"}},

	"source.config_map": secretName,
	"source.secret":     secretName,
	"source.key":        with(dataKey, unset(CertificatesKey)),

	"volume.claim":     secretName,
	"nfsvolume.server": {pattern: `^[^\s/]+$`, longest: 253, accepted: "accepted is the name or address of a server", examples: []any{"nfs.example.com"}},
	"nfsvolume.path":   {pattern: `^/[^\x00-\x1f\x7f]*$`, longest: 1024, accepted: "accepted is a path that begins with /", examples: []any{"/exports/images"}},

	"workspace.size":          quantity,
	"workspace.storage_class": secretName,
	"workspace.access_mode":   {enum: []string{readWriteOnce, readWriteMany}},

	"buildsecret.id":     {pattern: `^[A-Za-z0-9_][-A-Za-z0-9_.]*$`, longest: 253, accepted: "accepted are letters, digits, -, _ and ."},
	"buildsecret.secret": secretName,
	"buildsecret.key":    dataKey,

	"stage.image":           image,
	"stage.env":             {keys: &envName},
	"stage.env.*":           {longest: 128 << 10, empty: true},
	"stage.timeout":         duration,
	"stage.retries":         {least: 0, most: 10, unset: 0},
	"stage.service_account": secretName,
	"stage.node_selector":   {keys: &labelKey},
	"stage.node_selector.*": labelValue,

	"resources.requests":   {keys: &resourceName},
	"resources.requests.*": quantity,
	"resources.limits":     {keys: &resourceName},
	"resources.limits.*":   quantity,

	"autorebuild.enabled":            {unset: true},
	"autorebuild.webhook_secret":     secretName,
	"autorebuild.max_concurrent":     {least: 1, most: 1000},
	"autorebuild.rate":               {least: 1, most: 10_000},
	"autorebuild.watch_namespaces[]": namespaceName,
	"autorebuild.scheduled_imports":  {unset: true},
	"autorebuild.image":              image,
	"autorebuild.env":                {keys: &envName},
	"autorebuild.env.*":              {longest: 128 << 10, empty: true},
}

var (
	siteLabel = with(labelKey, notOurs)
	envName   = rule{pattern: `^[A-Za-z_][A-Za-z0-9_]*$`, longest: 253, check: checkEnv, accepted: "accepted are letters, digits and _, no digit first"}
	// resourceName accepts extended resources as well, which have a domain.
	resourceName = rule{pattern: `^(cpu|memory|ephemeral-storage|hugepages-[0-9]+[KMG]i|[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)$`, longest: 317,
		accepted: "accepted are cpu, memory, ephemeral-storage, hugepages-SIZE and resources with a domain, such as example.com/device"}
)

func ruleOf(at place) rule { return rulesByKind[at.kind] }

// with is a rule with changes.
func with(r rule, changes ...func(*rule)) rule {
	for _, change := range changes {
		change(&r)
	}
	return r
}

func needs(key string) func(*rule) { return func(r *rule) { r.needs = key } }

func unset(value any) func(*rule) { return func(r *rule) { r.unset = value } }

// text says what is wrong with a text; nil if nothing is.
func (r rule) text(text string) error {
	if r.enum != nil {
		if slices.Contains(r.enum, text) {
			return nil
		}
		return fmt.Errorf("%.60q is not accepted", text)
	}
	if r.longest > 0 && utf8.RuneCountInString(text) > r.longest {
		return fmt.Errorf("%.60q... is longer than %d characters", text, r.longest)
	}
	if r.check != nil {
		if err := r.check(text); err != nil {
			return err
		}
	}
	if r.pattern != "" && !regexp.MustCompile(r.pattern).MatchString(text) {
		return fmt.Errorf("%.60q is not accepted", text)
	}
	return nil
}

// right says what is accepted.
func (r rule) right() string {
	if r.enum != nil {
		if len(r.enum) == 1 {
			return "accepted is " + r.enum[0]
		}
		return "accepted are " + join(r.enum)
	}
	return r.accepted
}

// notOurs refuses labels and annotations that the generator or Tekton writes.
func notOurs(r *rule) {
	valid := r.check
	r.check = func(key string) error {
		domain, word, _ := strings.Cut(key, "/")
		reserved := slices.Contains([]string{"name", "part-of", "managed-by", "version", "component"}, word)
		if domain == "app.kubernetes.io" && reserved || domain == "osbs.dev" || domain == "tekton.dev" || strings.HasSuffix(domain, ".tekton.dev") {
			return failure.WithHint(fmt.Errorf("%.100q is written by the generator or by Tekton", key), "use a domain of your own")
		}
		return valid(key)
	}
}

// valid makes an error of what a function of Kubernetes finds, whose messages are long: the rule says the same.
func valid(check func(string) []string) func(string) error {
	return func(text string) error {
		if len(check(text)) > 0 {
			return fmt.Errorf("%.60q is not accepted", text)
		}
		return nil
	}
}

// maxDuration is more than anybody waits.
const maxDuration = 365 * 24 * time.Hour

func checkDuration(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 || d > maxDuration {
		return fmt.Errorf("%.60q is not accepted", text)
	}
	return nil
}

func checkQuantity(text string) error {
	if !regexp.MustCompile(quantityPattern).MatchString(text) { // before Kubernetes computes with an exponent that has no bound
		return fmt.Errorf("%.60q is not accepted", text)
	}
	if _, err := resource.ParseQuantity(text); err != nil {
		return fmt.Errorf("%.60q is not accepted: %w", text, err)
	}
	return nil
}

func checkRegistry(text string) error {
	_, err := registry.ParseURI(text)
	return err
}

// architectures are those of Go, with what other programs call them.
var architectures = map[string]string{
	"amd64": "", "arm64": "", "ppc64le": "", "s390x": "", "riscv64": "", "arm": "", "386": "", "loong64": "", "mips64le": "", "ppc64": "",
	"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "i386": "386", "i686": "386", "armhfp": "arm/v7", "armv7l": "arm/v7",
}

func checkPlatform(text string) error {
	system, rest, found := strings.Cut(text, "/")
	if !found {
		rest = system
	}
	architecture, _, _ := strings.Cut(rest, "/")
	goWord, known := architectures[architecture]
	switch {
	case goWord != "":
		return failure.WithHint(fmt.Errorf("%.60q is not in Go's words", text), "did you mean linux/%s?", goWord)
	case found && !known:
		return fmt.Errorf("%.60q has an architecture that nobody knows", text)
	}
	return nil
}

// checkURL does not repeat a URL that holds credentials.
func checkURL(text string) error {
	if strings.Contains(text, "@") {
		return errors.New("the URL holds credentials, which belong in the Secret")
	}
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("%.60q is not accepted", text)
	}
	return nil
}

// checkProxy does not repeat a URL that holds credentials: the environment of a step is there for everybody who may read pods.
func checkProxy(text string) error {
	if strings.Contains(text, "@") {
		return failure.WithHint(errors.New("the URL holds credentials, which whoever may read pods would see"),
			"let the proxy know the cluster by its addresses, or give the variables to the stages from a Secret, with an overlay")
	}
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" {
		return fmt.Errorf("%.60q is not accepted", text)
	}
	return nil
}

func checkRelative(text string) error {
	if path.IsAbs(text) || path.Clean(text) == ".." || strings.HasPrefix(path.Clean(text), "../") {
		return fmt.Errorf("%.60q leads elsewhere", text)
	}
	return nil
}

func checkImage(text string) error {
	if pkg, ok := strings.CutPrefix(text, "ko://"); ok {
		if pkg == "" {
			return fmt.Errorf("%.60q names no Go package", text)
		}
		return nil
	}
	if _, err := name.ParseReference(text); err != nil {
		return fmt.Errorf("%.60q is no image reference", text)
	}
	return nil
}

// checkEnv keeps settings from being given behind the back of the Pipeline's params.
func checkEnv(text string) error {
	if strings.HasPrefix(strings.ToUpper(text), "OSBS_") {
		return failure.WithHint(fmt.Errorf("%.60q is how a stage gets its settings", text), "use a key of this file, or a param of the Pipeline")
	}
	return nil
}
