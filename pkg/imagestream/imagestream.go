// Package imagestream names ImageStreams: of an image that is imported, and of a base image on which a build config is triggered.
// Both are the same name when the base is an image that was imported before.
package imagestream

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// latest is the tag of a reference that has none.
const latest = "latest"

// hostDigits is how many hex digits of a foreign registry's hash end the name of an ImageStream.
const hostDigits = 5

// Bounds of the Kubernetes API and of image references.
const (
	maxName = 253
	maxTag  = 128
)

var (
	nameRule = regexp.MustCompile(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$`)
	hostRule = regexp.MustCompile(`^(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::[0-9]+)?$`)
	tagRule  = regexp.MustCompile(`^\w[\w.-]*$`)
)

// NameFor is the name of the ImageStream of an image's name, such as the name label: each / becomes a -.
func NameFor(image string) (string, error) {
	name := strings.ReplaceAll(strings.Trim(image, "/"), "/", "-")
	if len(name) > maxName || !nameRule.MatchString(name) {
		return "", fmt.Errorf("%q cannot be the name of an ImageStream: lower-case letters, digits and single separators . _ / - only, %d bytes at most", image, maxName)
	}
	return name, nil
}

// TagFor is the ImageStreamTag (name:tag) on which a build config is triggered whose Dockerfile names the base image reference.
// It is empty for a base that is given by digest only, which never changes.
//
// Without a registry, or with one of home (hosts), the name is that of OSBS: registry stripped, / to -, tag latest if none is
// named. For any other registry its hash is added, so that the images of two registries never share an ImageStream.
func TagFor(reference string, home ...string) (string, error) {
	host, repository, tag, digest, err := split(reference)
	if err != nil {
		return "", err
	}
	if tag == "" {
		if digest != "" {
			return "", nil
		}
		tag = latest
	}
	name, err := NameFor(repository)
	if err != nil {
		return "", fmt.Errorf("base image %q: %w", reference, err)
	}
	if host != "" && !contains(home, host) {
		sum := sha256.Sum256([]byte(host))
		name += "-" + hex.EncodeToString(sum[:])[:hostDigits]
	}
	return name + ":" + tag, nil
}

func contains(home []string, host string) bool {
	for _, h := range home {
		if strings.EqualFold(h, host) {
			return true
		}
	}
	return false
}

// split takes a reference apart. host is lower case, and empty if none is named.
func split(reference string) (host, repository, tag, digest string, err error) {
	rest, digest, hasDigest := strings.Cut(reference, "@")
	if hasDigest && digest == "" {
		return "", "", "", "", fmt.Errorf("base image %q: empty digest", reference)
	}
	if first, after, found := strings.Cut(rest, "/"); found && IsHost(first) {
		host, rest = strings.ToLower(first), after
		if !hostRule.MatchString(host) {
			return "", "", "", "", fmt.Errorf("base image %q: invalid registry", reference)
		}
	}
	if i := strings.LastIndexByte(rest, ':'); i > strings.LastIndexByte(rest, '/') {
		rest, tag = rest[:i], rest[i+1:]
		if len(tag) > maxTag || !tagRule.MatchString(tag) {
			return "", "", "", "", fmt.Errorf("base image %q: invalid tag", reference)
		}
	}
	if rest == "" {
		return "", "", "", "", errors.New("base image has no name")
	}
	return host, rest, tag, digest, nil
}

// IsHost says whether the first part of a reference names a registry, by the rule of docker: it holds a dot or a colon, or is
// localhost.
func IsHost(part string) bool { return strings.ContainsAny(part, ".:") || part == "localhost" }
