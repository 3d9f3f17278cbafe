package registry

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

func TestParseURI(t *testing.T) {
	for in, want := range map[string]URI{
		"r":                             {Host: "r"},
		"registry.example.com":          {Host: "registry.example.com"},
		"registry.example.com:5000":     {Host: "registry.example.com:5000"},
		"https://registry.example.com":  {Host: "registry.example.com"},
		"HTTPS://Registry.Example.com/": {Host: "registry.example.com"},
		"http://r:5000":                 {Host: "r:5000", Insecure: true},
		"r/v2":                          {Host: "r"},
		"r/v2/":                         {Host: "r"},
		"https://r/v2":                  {Host: "r"},
		"  r  ":                         {Host: "r"},
		"127.0.0.1:5000":                {Host: "127.0.0.1:5000"},
		"[::1]:5000":                    {Host: "[::1]:5000"},
	} {
		got, err := ParseURI(in)
		if err != nil {
			t.Errorf("ParseURI(%q): %v", in, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("ParseURI(%q) (-want +got):\n%s", in, diff)
		}
	}
}

func TestParseURIErrors(t *testing.T) {
	for in, want := range map[string]string{
		"":                        "registry URI is empty",
		"r/v1":                    `Invalid API version requested in URI "r/v1": v1 registries are not supported`,
		"https://r/v1/":           `Invalid API version requested in URI "https://r/v1/": v1 registries are not supported`,
		"r/v3":                    `invalid registry URI "r/v3": only /v2 may follow the host`,
		"r/foo":                   `invalid registry URI "r/foo": only /v2 may follow the host`,
		"r/v2/foo":                `invalid registry URI "r/v2/foo": only /v2 may follow the host`,
		"ftp://r":                 `invalid registry URI "ftp://r": its scheme is neither https nor http`,
		"https://":                `invalid registry URI "https://": it has no valid host[:port]`,
		"r:":                      `invalid registry URI "r:": it has no valid host[:port]`,
		"r:port":                  `invalid registry URI "r:port": it has no valid host[:port]`,
		"a b":                     `invalid registry URI "a b": it has no valid host[:port]`,
		"a\nb":                    `invalid registry URI "a\nb": it has no valid host[:port]`,
		"r?x=y":                   `invalid registry URI "r?x=y": it has no valid host[:port]`,
		"https://me:hun@ter2@r":   `invalid registry URI "https://[redacted]@r": it holds credentials; they belong in registry_secret`,
		"https://me:hun/ter2@r":   `invalid registry URI "https://[redacted]@r": only /v2 may follow the host; a namespace belongs to the image's name label`,
		"https://me:hunter2@r":    `invalid registry URI "https://[redacted]@r": it holds credentials; they belong in registry_secret`,
		strings.Repeat("a", 2000): "registry URI is longer than 1024 bytes",
	} {
		_, err := ParseURI(in)
		if err == nil || !strings.HasPrefix(err.Error(), want) || failure.KindOf(err) != failure.Usage {
			t.Errorf("ParseURI(%q): %v (%s), want %q", in, err, failure.KindOf(err), want)
		}
	}
}

func TestParseURIs(t *testing.T) {
	got, err := ParseURIs(" a/v2, http://b:1 ")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]URI{{Host: "a"}, {Host: "b:1", Insecure: true}}, got); diff != "" {
		t.Error(diff)
	}
	if got, err := ParseURIs(" "); err != nil || got != nil {
		t.Errorf("empty list: %v, %v", got, err)
	}
	for _, in := range []string{"a,", "a,,b", "a,A", "a,b/v1"} {
		if _, err := ParseURIs(in); err == nil {
			t.Errorf("ParseURIs(%q): no error", in)
		}
	}
}

// FuzzParseURI holds that what is accepted can be spoken to, and is stable.
func FuzzParseURI(f *testing.F) {
	for _, seed := range []string{"r", "https://r:5000/v2/", "http://[::1]:1", "r/v1", "HTTPS://R", "a@b", "https://a:b@c/", "%41", "r:0x1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, err := ParseURI(text)
		if err != nil {
			if failure.KindOf(err) != failure.Usage {
				t.Errorf("kind %s", failure.KindOf(err))
			}
			return
		}
		again, err := ParseURI(u.String())
		if err != nil || again != u {
			t.Errorf("%q gave %+v, which gives %+v, %v", text, u, again, err)
		}
		if _, err := new(Client).ParseReference(u.Host + "/image:tag"); err != nil && strings.ContainsAny(u.Host, ".:") {
			t.Errorf("%q cannot be the host of a reference: %v", u.Host, err)
		}
	})
}
