// Package tags computes the tags of an image from its labels: the unique tag that no other build has, the primary tag that a
// version and release have once, and the floating tags that move from build to build.
package tags

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/labels"
)

// Options are what the tags depend on.
type Options struct {
	// Labels are those of the built image, or for a dry run those that the Dockerfile sets. Older spellings are accepted.
	Labels map[string]string
	// Target is the build target, a part of the unique tag; empty means none.
	Target string
	// Scratch builds have the unique tag only, isolated ones the unique and the primary tag.
	Scratch, Isolated bool
	// Additional are the floating tags of the additional-tags file, see ReadAdditional.
	Additional []string
	// Time and Random make the unique tag unique. Random is five letters or digits, see Random.
	Time   time.Time
	Random string
}

// Set is the tags of one image.
type Set struct {
	// Name is the repository inside a registry: the image's name label.
	Name string `json:"name"`
	// Unique is <target|none>-<random>-<YYYYmmddHHMMSS>.
	Unique string `json:"unique"`
	// Primary is version-release; empty for a scratch build and for an image without a release.
	Primary string `json:"primary,omitempty"`
	// Floating are version, latest and the additional tags, each once; empty for scratch and isolated builds.
	Floating []string `json:"floating,omitempty"`
}

// All lists the tags in the order in which they are set.
func (s Set) All() []string {
	all := []string{s.Unique}
	if s.Primary != "" {
		all = append(all, s.Primary)
	}
	return append(all, s.Floating...)
}

// Latest is the floating tag that every image but a scratch or isolated one has.
const Latest = "latest"

var (
	// valid is a tag as the OCI distribution specification has it.
	valid = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
	// isolatedRelease is what the release of an isolated build must look like, so that it cannot be a later build's.
	isolatedRelease = regexp.MustCompile(`^\d+\.\d+(\..+)?$`)
)

// uniqueTime is the form of the time in a unique tag, in UTC.
const uniqueTime = "20060102150405"

// noTarget stands in the unique tag of a build without a target.
const noTarget = "none"

// Compute returns the tags of an image. A label that is missing, and labels that make no valid tag, are failure.InvalidInput; a
// target that makes no valid tag is failure.Usage.
func Compute(o Options) (Set, error) {
	name, version, release := labels.Get(o.Labels, labels.Name), labels.Get(o.Labels, labels.Version), labels.Get(o.Labels, labels.Release)
	if err := checkName(name); err != nil {
		return Set{}, err
	}
	s := Set{Name: name, Unique: unique(o)}
	if !valid.MatchString(s.Unique) {
		return Set{}, failure.WithHint(failure.New(failure.Usage, "target %s makes the tag %s, which is not a valid tag", quote(o.Target), quote(s.Unique)),
			"letters, digits, _, . and - make a tag, at most 128 of them, beginning with none of . and -")
	}
	if o.Scratch {
		return s, nil
	}
	if version == "" {
		return Set{}, failure.WithHint(failure.New(failure.InvalidInput, "the image has no version label"), `add LABEL version="..." to the Dockerfile`)
	}
	if o.Isolated && !isolatedRelease.MatchString(release) {
		return Set{}, failure.WithHint(failure.New(failure.InvalidInput, "release %s is not one for an isolated build", quote(release)),
			"an isolated build's release has two numbers and more parts after a dot, such as 3.1 or 3.1.hotfix")
	}
	if release != "" {
		s.Primary = version + "-" + release
	}
	if !o.Isolated {
		s.Floating = floating(version, o.Additional)
	}
	return s, checkTags(s, version, release)
}

func checkName(name string) error {
	if name == "" {
		return failure.WithHint(failure.New(failure.InvalidInput, "the image has no name label"), `add LABEL name="..." to the Dockerfile`)
	}
	return labels.CheckName(name)
}

func unique(o Options) string {
	target := o.Target
	if target == "" {
		target = noTarget
	}
	return target + "-" + o.Random + "-" + o.Time.UTC().Format(uniqueTime)
}

// floating puts version first and latest second, and each tag once.
func floating(version string, additional []string) []string {
	out := make([]string, 0, 2+len(additional))
	seen := map[string]bool{}
	for _, tag := range append([]string{version, Latest}, additional...) {
		if !seen[tag] {
			seen[tag] = true
			out = append(out, tag)
		}
	}
	return out
}

func checkTags(s Set, version, release string) error {
	for _, tag := range s.All() {
		if !valid.MatchString(tag) {
			return failure.WithHint(
				failure.New(failure.InvalidInput, "labels version=%s and release=%s make the tag %s, which is not a valid tag", quote(version), quote(release), quote(tag)),
				"letters, digits, _, . and - make a tag, at most 128 of them, beginning with none of . and -")
		}
	}
	return nil
}

// randomLetters are 32, so that five bits of a random byte choose one evenly; those that are easily mistaken are left out.
const randomLetters = "abcdefghjkmnpqrstuvwxyz123456789"

// Random returns the five random characters of a unique tag, from r: crypto/rand.Reader outside tests.
func Random(r io.Reader) (string, error) {
	var raw [5]byte
	if _, err := io.ReadFull(r, raw[:]); err != nil {
		return "", fmt.Errorf("reading random bytes: %w", err)
	}
	var b strings.Builder
	for _, x := range raw {
		b.WriteByte(randomLetters[int(x)%len(randomLetters)])
	}
	return b.String(), nil
}

// quote makes text from outside fit for a message: quoted, control characters escaped, not too long.
func quote(text string) string {
	const most = 80
	if len(text) > most {
		return fmt.Sprintf("%q...", text[:most])
	}
	return fmt.Sprintf("%q", text)
}
