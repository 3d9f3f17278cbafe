// Package labels holds the rules for the labels by which an image is named and tagged.
package labels

import (
	"regexp"
	"strings"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

// The labels that name an image. Each has an older spelling, which Get accepts.
const (
	Name      = "name"
	Version   = "version"
	Release   = "release"
	Component = "com.redhat.component"
)

// older is the spelling that older Dockerfiles have.
func older(label string) string {
	switch label {
	case Name:
		return "Name"
	case Version:
		return "Version"
	case Release:
		return "Release"
	case Component:
		return "BZComponent"
	default:
		return ""
	}
}

// Get is the value of a label. The new spelling is preferred to the older one; an empty value counts as none.
func Get(labels map[string]string, label string) string {
	if v := labels[label]; v != "" {
		return v
	}
	if o := older(label); o != "" {
		return labels[o]
	}
	return ""
}

// Spelling is how the label is spelled in labels: as given, or the older way if only that is there; empty if neither is.
func Spelling(labels map[string]string, label string) string {
	for _, s := range []string{label, older(label)} {
		if labels[s] != "" {
			return s
		}
	}
	return ""
}

// CheckRelease refuses a release that is not one or more alphanumeric parts, joined by . or _, of which the first begins with a
// digit. An isolated build's release has two numbers at least, so that it cannot be that of a later build.
func CheckRelease(release string, isolated bool) error {
	if !regexp.MustCompile(`^\d+([._]?[a-zA-Z0-9]+)*$`).MatchString(release) {
		return failure.WithHint(failure.New(failure.InvalidInput, "invalid release %q", clip(release)),
			"a release begins with a number, and its parts are joined by . or _, such as 1, 1.el7 or 10.2")
	}
	if isolated && !regexp.MustCompile(`^\d+\.\d+(\..+)?$`).MatchString(release) {
		return failure.WithHint(failure.New(failure.InvalidInput, "invalid release %q for an isolated build", clip(release)),
			"an isolated build's release has two numbers and more parts after a dot, such as 3.1 or 3.1.hotfix")
	}
	return nil
}

// maxName is the longest name of a repository, in bytes, that registries accept.
const maxName = 255

// repository is the OCI distribution specification's rule for the names of repositories.
const repository = `^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`

// CheckName refuses a name label that cannot name a repository, as failure.InvalidInput.
func CheckName(name string) error {
	if len(name) <= maxName && regexp.MustCompile(repository).MatchString(name) {
		return nil
	}
	return failure.WithHint(failure.New(failure.InvalidInput, "label name=%q is not the name of a repository", clip(name)),
		"lower-case letters and digits, parts of them joined by . _ - or /, make a name")
}

// Check refuses labels from which no image can be named: a required one is missing, or has a value that makes no valid tag. All
// errors are InvalidInput; all missing labels are named at once. release is optional.
func Check(labels map[string]string, isolated bool) error {
	var missing []string
	for _, l := range []string{Name, Version, Component} {
		if Get(labels, l) == "" {
			missing = append(missing, l)
		}
	}
	if len(missing) > 0 {
		return failure.WithHint(failure.New(failure.InvalidInput, "required labels are missing from the Dockerfile: %s", strings.Join(missing, ", ")),
			"add LABEL %s=... to the stage that is built; labels of the base do not count", missing[0])
	}
	if name := Get(labels, Name); strings.Contains(strings.SplitN(name, "/", 2)[0], ".") {
		return failure.WithHint(failure.New(failure.InvalidInput, "invalid label name=%q: its first part holds a dot and would be taken for a registry", clip(name)),
			"name the repository without the registry, such as rhel7/rsyslog")
	}
	if err := CheckName(Get(labels, Name)); err != nil {
		return err
	}
	if version := Get(labels, Version); strings.Contains(version, "-") {
		return failure.WithHint(failure.New(failure.InvalidInput, "invalid label version=%q: it holds a -, which parts version and release in a tag", clip(version)),
			"use . or _ instead")
	}
	if release := Get(labels, Release); release != "" {
		return CheckRelease(release, isolated)
	}
	if isolated {
		return failure.WithHint(failure.New(failure.InvalidInput, "an isolated build has no release"), "give one, such as 3.1")
	}
	return nil
}

// clip keeps hostile text in messages short.
func clip(text string) string {
	const limit = 100
	if len(text) > limit {
		return text[:limit] + "..."
	}
	return text
}
