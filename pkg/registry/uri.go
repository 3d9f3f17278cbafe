package registry

import (
	"net/url"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

// URI is one registry of registry_uri or source_registry_uri.
type URI struct {
	// Host is host or host:port, as image references spell it.
	Host string
	// Insecure says that the URI asks for plain HTTP: it begins with http://.
	Insecure bool
}

// String is the URI in its canonical spelling.
func (u URI) String() string {
	if u.Insecure {
		return "http://" + u.Host
	}
	return "https://" + u.Host
}

// maxURI bounds the length of one registry_uri, in bytes; a host name has at most 253.
const maxURI = 1024

// ParseURI reads one registry_uri: the scheme, a trailing slash and a /v2 suffix are optional. /v1 is refused, as is any other
// path, because no image could be pushed there. All errors are failure.Usage and name the URI without its credentials.
func ParseURI(text string) (URI, error) {
	rest := strings.TrimSpace(text)
	if rest == "" {
		return URI{}, failure.WithHint(failure.New(failure.Usage, "registry URI is empty"), "give host[:port], such as registry.example.com:5000")
	}
	if len(rest) > maxURI {
		return URI{}, failure.New(failure.Usage, "registry URI is longer than %d bytes", maxURI)
	}
	scheme, afterScheme, found := strings.Cut(rest, "://")
	if found {
		rest = afterScheme
	} else {
		scheme = "https"
	}
	scheme = strings.ToLower(scheme)
	if scheme != "https" && scheme != "http" {
		return URI{}, uriError(text, "its scheme is neither https nor http")
	}
	host, path, _ := strings.Cut(rest, "/")
	if err := checkPath(text, path); err != nil {
		return URI{}, err
	}
	host, err := parseHost(text, host)
	if err != nil {
		return URI{}, err
	}
	return URI{Host: host, Insecure: scheme == "http"}, nil
}

// checkPath accepts what may follow the host.
func checkPath(text, path string) error {
	switch strings.TrimRight(path, "/") {
	case "", "v2":
		return nil
	case "v1":
		return failure.WithHint(failure.New(failure.Usage, "Invalid API version requested in URI %q: v1 registries are not supported", printable(text)),
			"leave the suffix out, or write /v2")
	default:
		return uriError(text, "only /v2 may follow the host; a namespace belongs to the image's name label")
	}
}

// parseHost checks host[:port] and folds it to lower case.
func parseHost(text, host string) (string, error) {
	if strings.Contains(host, "@") {
		return "", uriError(text, "it holds credentials; they belong in registry_secret")
	}
	host = strings.ToLower(host)
	u, err := url.Parse("//" + host)
	if err != nil || u.Host != host || u.Hostname() == "" || strings.HasSuffix(host, ":") {
		return "", uriError(text, "it has no valid host[:port]")
	}
	if strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`"'<>\^{|}%,;`+"`", r) }) {
		return "", uriError(text, "it has no valid host[:port]")
	}
	if _, err := name.NewRegistry(host, name.StrictValidation); err != nil {
		return "", uriError(text, "it has no valid host[:port]")
	}
	return host, nil
}

func uriError(text, why string) error {
	return failure.WithHint(failure.New(failure.Usage, "invalid registry URI %q: %s", printable(text), why),
		"the form is [https://|http://]host[:port][/v2]")
}

// printable hides what may be a password before an error repeats the URI.
func printable(text string) string {
	last := strings.LastIndexByte(text, '@') // a password may hold one too
	if last < 0 {
		return text
	}
	scheme, _, hasScheme := strings.Cut(text[:last], "://")
	if hasScheme {
		return scheme + "://[redacted]" + text[last:]
	}
	return "[redacted]" + text[last:]
}

// ParseURIs reads a comma-separated list of registry URIs; spaces around them are ignored. An empty text is an empty list, an
// empty or repeated entry is an error.
func ParseURIs(list string) ([]URI, error) {
	if strings.TrimSpace(list) == "" {
		return nil, nil
	}
	var uris []URI
	seen := map[string]bool{}
	for text := range strings.SplitSeq(list, ",") {
		u, err := ParseURI(text)
		if err != nil {
			return nil, err
		}
		if seen[u.Host] {
			return nil, failure.New(failure.Usage, "registry %q is named twice", u.Host)
		}
		seen[u.Host] = true
		uris = append(uris, u)
	}
	return uris, nil
}
