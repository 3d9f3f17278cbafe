package labels

import (
	"strings"
	"testing"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

func TestCheck(t *testing.T) {
	for name, tc := range map[string]struct {
		labels   map[string]string
		isolated bool
		want     string // in the message; empty means no error
	}{
		"complete":              {map[string]string{"name": "a/b", "version": "1.0", "com.redhat.component": "c", "release": "1"}, false, ""},
		"older spellings":       {map[string]string{"Name": "a", "Version": "1.0", "BZComponent": "c"}, false, ""},
		"release is optional":   {map[string]string{"name": "a", "version": "1", "com.redhat.component": "c"}, false, ""},
		"nothing":               {nil, false, "name, version, com.redhat.component"},
		"empty is missing":      {map[string]string{"name": "", "version": "1", "com.redhat.component": "c"}, false, "missing from the Dockerfile: name"},
		"registry in name":      {map[string]string{"name": "r.example.com/a", "version": "1", "com.redhat.component": "c"}, false, "registry"},
		"dot in a later part":   {map[string]string{"name": "a/b.c", "version": "1", "com.redhat.component": "c"}, false, ""},
		"name is no repository": {map[string]string{"name": "a/../b", "version": "1", "com.redhat.component": "c"}, false, "not the name of a repository"},
		"upper case in name":    {map[string]string{"name": "BAD", "version": "1", "com.redhat.component": "c"}, false, "not the name of a repository"},
		"dash in version":       {map[string]string{"name": "a", "version": "1-2", "com.redhat.component": "c"}, false, `version="1-2"`},
		"invalid release":       {map[string]string{"name": "a", "version": "1", "com.redhat.component": "c", "release": "el7"}, false, `invalid release "el7"`},
		"isolated":              {map[string]string{"name": "a", "version": "1", "com.redhat.component": "c", "release": "3.1"}, true, ""},
		"isolated, one number":  {map[string]string{"name": "a", "version": "1", "com.redhat.component": "c", "release": "3"}, true, "isolated"},
		"isolated, none":        {map[string]string{"name": "a", "version": "1", "com.redhat.component": "c"}, true, "no release"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Check(tc.labels, tc.isolated)
			if tc.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if failure.KindOf(err) != failure.InvalidInput || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want InvalidInput with %q", err, tc.want)
			}
		})
	}
}

func TestCheckRelease(t *testing.T) {
	for release, ok := range map[string]bool{
		"1": true, "10": true, "1.el7": true, "1_2": true, "1.2.3a": true, "1a": true, "01": true,
		"": false, "el7": false, "1-2": false, "1.": false, "1..2": false, "1 x": false, "1\n": false, "$R": false, ".1": false,
	} {
		if err := CheckRelease(release, false); (err == nil) != ok {
			t.Errorf("CheckRelease(%q): %v", release, err)
		}
	}
}

func TestGetPrefersTheNewSpelling(t *testing.T) {
	labels := map[string]string{"name": "new", "Name": "old", "Version": "1"}
	if Get(labels, Name) != "new" || Get(labels, Version) != "1" || Get(labels, "other") != "" {
		t.Error("wrong value")
	}
	if Spelling(labels, Name) != "name" || Spelling(labels, Version) != "Version" || Spelling(labels, Release) != "" {
		t.Error("wrong spelling")
	}
}
