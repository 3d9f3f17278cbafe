package osbsconf

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

func TestSettings(t *testing.T) {
	const content = `[DEFAULT]
host = registry.example.com
[general]
instance = prod
verbose = yes
namespace = general
koji_target = general
[prod]
registry_uris = %(host)s
namespace = builds
koji_hub = http://koji.example.com
registry_url = x
qqqqqqqqqqqqqqqqqqq = y
target = f42
[other]
lock_policy = nonsense
`
	got, instance, err := Settings("osbs.conf", []byte(content), "")
	if err != nil || instance != "prod" {
		t.Fatal(instance, err)
	}
	want := []Setting{
		{Key: "registry_uri", Name: "registry_uris", Section: "prod", Line: 9, Value: "registry.example.com"},
		{Key: "namespace", Name: "namespace", Section: "prod", Line: 10, Value: "builds"},
		{Name: "koji_hub", Section: "prod", Line: 11, Value: "http://koji.example.com", Gone: "builds are not registered in Koji"},
		{Name: "registry_url", Section: "prod", Line: 12, Value: "x", Unknown: true, Nearest: "registry_uri"},
		{Name: "qqqqqqqqqqqqqqqqqqq", Section: "prod", Line: 13, Value: "y", Unknown: true},
		{Key: "target", Name: "target", Section: "prod", Line: 14, Value: "f42"},
		{Key: "instance", Name: "instance", Section: "general", Line: 4, Value: "prod"},
		{Key: "verbose", Name: "verbose", Section: "general", Line: 5, Value: "yes"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSettingsTellAllFaults(t *testing.T) {
	_, _, err := Settings("osbs.conf", []byte("[prod]\nlock_policy = maybe\nverbose = flase\nuser = %(gone)s\n"), "prod")
	text := fmt.Sprint(err)
	for _, want := range []string{"osbs.conf:2: lock_policy: ", "osbs.conf:3: verbose: ", "osbs.conf:4: user: "} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if k := failure.KindOf(err); k != failure.Usage {
		t.Errorf("kind %s", k)
	}
}
