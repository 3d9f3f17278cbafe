package subject

import (
	"strings"
	"testing"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/osbs"
	"github.com/osbs-tekton/osbs/pkg/rebuild"
)

func outlook() *osbs.Outlook {
	config := func(name, produces string, bases ...string) rebuild.Config {
		c := rebuild.Config{Name: name, Produces: strings.Fields(produces)}
		for _, b := range bases {
			c.Bases = append(c.Bases, rebuild.Base{Tag: b})
		}
		return c
	}
	o := &osbs.Outlook{
		Configs: []rebuild.Config{
			config("app-main-12345", "app:1.0 app:latest", "base:1", "openshift/ubi:9"), config("team-a-main-1", "team-a:2", "rhel7-271da:7.1", "tools:1"),
			config("two-main-1", "two:1 two:latest", "tools:2"), config("two-next-2", "two:2", "base:1"),
		},
		Images: map[string]osbs.Image{"broken-main-3": {Malformed: "x"}}, HomeRegistries: []string{"r.example.com"},
	}
	for _, c := range o.Configs {
		o.Images[c.Name] = osbs.Image{}
	}
	return o
}

func TestFind(t *testing.T) {
	t.Parallel()
	for argument, want := range map[string]Subject{
		"app-main-12345":                {BuildConfig: "app-main-12345"},
		"broken-main-3":                 {BuildConfig: "broken-main-3"},
		"app":                           {BuildConfig: "app-main-12345"},
		"app:1.0":                       {BuildConfig: "app-main-12345", Tag: "app:1.0"},
		"r.example.com/app":             {BuildConfig: "app-main-12345", Tag: "app:latest"},
		"r.example.com/team/a:2":        {BuildConfig: "team-a-main-1", Tag: "team-a:2"},
		"team/a:2":                      {BuildConfig: "team-a-main-1", Tag: "team-a:2"},
		"elsewhere.example.com/app:1.0": {BuildConfig: "app-main-12345", Tag: "app:1.0"},
		"two:2":                         {BuildConfig: "two-next-2", Tag: "two:2"},
		"base":                          {Tag: "base:1"},
		"base:1":                        {Tag: "base:1"},
		"openshift/ubi:9":               {Tag: "openshift/ubi:9"},
		"quay.io/rhel7:7.1":             {Tag: "rhel7-271da:7.1"},
		"app:1.0@sha256:" + strings.Repeat("a", 64): {BuildConfig: "app-main-12345", Tag: "app:1.0"},
	} {
		if got, err := Find(outlook(), argument); err != nil || got != want {
			t.Errorf("%s: %+v, %v", argument, got, err)
		}
	}
}

func TestNotFound(t *testing.T) {
	t.Parallel()
	for argument, want := range map[string]struct {
		kind failure.Kind
		text string
	}{
		"ap":                                    {failure.NotFound, "close to it: app-main-12345, app:1.0, app:latest"},
		"app-mian":                              {failure.NotFound, "osbs list-build-configs"},
		"app:1.1":                               {failure.NotFound, "close to it: app:1.0"},
		"APP:1.0":                               {failure.NotFound, "close to it: app:1.0"},
		"zzzzzzzz":                              {failure.NotFound, "osbs list-build-configs"},
		"two":                                   {failure.Usage, "two-main-1, two-next-2"},
		"tools":                                 {failure.Usage, "tools:1, tools:2"},
		"app@sha256:" + strings.Repeat("a", 64): {failure.Usage, "name the tag"},
		"../../x":                               {failure.NotFound, "osbs list-build-configs"},
	} {
		_, err := Find(outlook(), argument)
		if failure.KindOf(err) != want.kind || !strings.Contains(err.Error(), want.text) {
			t.Errorf("%s: %v", argument, err)
		}
	}
}
