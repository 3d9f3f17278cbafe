// Package giturl reads the git URLs that people write: https, ssh, the scp-like form of ssh, and file. What could be taken for an
// option or a command by a program that gets the URL is refused.
package giturl

import (
	"net"
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"strings"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/redact"
)

// The schemes that Parse accepts. HTTP carries no credentials.
const (
	HTTPS = "https"
	HTTP  = "http"
	SSH   = "ssh"
	File  = "file"
)

// maxLength bounds a URL, in bytes.
const maxLength = 2048

// URL is a git URL in its parts.
type URL struct {
	// Scheme is one of the constants.
	Scheme string
	// User and Password are what the URL itself carries; ssh URLs have no password.
	User, Password string
	// Host is the host name or address without a port, in lower case; empty for File.
	Host string
	// Port is 0 for the scheme's own.
	Port int
	// Path is the repository's path on the host. It begins with / except in the scp-like form, where it may be relative to the
	// user's home directory.
	Path string
	// scp says that the URL was written as user@host:path.
	scp bool
}

// Parse reads a git URL. An error has the kind Usage and does not repeat a password.
func Parse(text string) (URL, error) {
	u, err := parse(text)
	if err != nil {
		return URL{}, failure.WithHint(failure.New(failure.Usage, "git URL %q: %w", redact.MalformedURL(text), err),
			"accepted are https://HOST/PATH, ssh://USER@HOST[:PORT]/PATH, USER@HOST:PATH and file:///PATH")
	}
	return u, nil
}

// reason is why a URL is refused.
type reason string

func (r reason) Error() string { return string(r) }

func parse(text string) (URL, error) {
	switch {
	case text == "":
		return URL{}, reason("it is empty")
	case len(text) > maxLength:
		return URL{}, reason("it is longer than 2048 bytes")
	case strings.HasPrefix(text, "-"):
		return URL{}, reason("it begins with - and would be taken for an option")
	case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || (r >= 0x7f && r < 0xa0) }):
		return URL{}, reason("it holds a space or a control character")
	case strings.Contains(text, "://"):
		return parseStandard(text)
	case remoteHelper(text):
		return URL{}, reason("remote helpers are not supported")
	default:
		return parseSCP(text)
	}
}

// remoteHelper says whether git would run a program for the URL, as for ext::COMMAND.
func remoteHelper(text string) bool {
	name, _, ok := strings.Cut(text, "::")
	return ok && !strings.ContainsAny(name, "@[/:")
}

func parseStandard(text string) (URL, error) {
	p, err := url.Parse(text)
	if err != nil {
		return URL{}, reason("it is malformed") // the error of the library repeats the password
	}
	u := URL{Scheme: strings.ToLower(p.Scheme), User: p.User.Username(), Host: strings.ToLower(p.Hostname()), Path: p.Path}
	u.Password, _ = p.User.Password()
	if p.RawQuery != "" || p.Fragment != "" || p.ForceQuery {
		return URL{}, reason("a query or a fragment has no meaning")
	}
	if port := p.Port(); port != "" {
		if u.Port, err = strconv.Atoi(port); err != nil || u.Port < 1 || u.Port > 65535 {
			return URL{}, reason("its port is not a number from 1 to 65535")
		}
	}
	return u, u.check()
}

func parseSCP(text string) (URL, error) {
	user, rest := "", text
	if at := strings.Index(text, "@"); at > 0 && !strings.ContainsAny(text[:at], "/:[") {
		user, rest = text[:at], text[at+1:]
	}
	host, p, ok := strings.Cut(rest, ":")
	if strings.HasPrefix(rest, "[") { // [::1]:path
		if host, p, ok = strings.Cut(rest[1:], "]:"); !ok {
			return URL{}, reason("it is malformed")
		}
	}
	if !ok || strings.Contains(host, "/") {
		return URL{}, reason("it has no scheme")
	}
	u := URL{Scheme: SSH, User: user, Host: strings.ToLower(host), Path: p, scp: true}
	return u, u.check()
}

// validHost says whether host is a name or an address.
func validHost(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return !strings.Contains(host, "%")
	}
	return !strings.ContainsFunc(host, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '.' && r != '_'
	})
}

// check refuses what is no repository's address, or would be dangerous to hand on.
func (u URL) check() error {
	if err := u.checkHost(); err != nil {
		return err
	}
	switch {
	case strings.HasPrefix(u.User, "-"), strings.HasPrefix(u.Path, "-"):
		return errOption
	case strings.Trim(u.Path, "/") == "":
		return reason("it has no path")
	case strings.ContainsFunc(u.Path+u.User+u.Password, func(r rune) bool { return r < ' ' || (r >= 0x7f && r < 0xa0) }):
		return reason("it holds a control character")
	case u.Scheme == SSH && strings.ContainsAny(u.User, "/:@[]%?#\\ "):
		return reason("its user is malformed")
	case u.Scheme == SSH && u.Password != "":
		return reason("an ssh URL carries no password: use a secret with a key")
	case u.Scheme == HTTP && u.Password != "":
		return reason("a password would be sent in clear: use https")
	}
	return nil
}

const errOption = reason("a part of it begins with - and would be taken for an option")

// checkHost refuses a scheme, and a host that does not fit it.
func (u URL) checkHost() error {
	switch u.Scheme {
	case HTTPS, HTTP, SSH:
		if u.Host == "" {
			return reason("it has no host")
		}
	case File:
		if u.Host != "" && u.Host != "localhost" || u.Port != 0 || u.User != "" {
			return reason("a file URL names no host: write file:///PATH")
		}
	default:
		return reason("the scheme " + strconv.Quote(u.Scheme) + " is not supported")
	}
	if strings.HasPrefix(u.Host, "-") {
		return errOption
	}
	if !validHost(u.Host) {
		return reason("its host is malformed")
	}
	return nil
}

// String is the URL without user and password of https; the user of ssh is no secret and is kept.
func (u URL) String() string {
	user := ""
	if u.User != "" && u.Scheme == SSH {
		user = u.User + "@"
	}
	host := u.Host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if u.scp {
		return user + host + ":" + u.Path
	}
	if u.Port != 0 {
		host = net.JoinHostPort(u.Host, strconv.Itoa(u.Port))
	}
	return u.Scheme + "://" + user + host + (&url.URL{Path: u.Path}).EscapedPath()
}

// HostPort is the host, with :port if the URL names one: what credentials belong to.
func (u URL) HostPort() string {
	if u.Port == 0 {
		return u.Host
	}
	return net.JoinHostPort(u.Host, strconv.Itoa(u.Port))
}

// SameServer says whether both URLs are on one server by one scheme, so that the credentials of one may be sent to the other.
func (u URL) SameServer(other URL) bool {
	return u.Scheme == other.Scheme && u.Host == other.Host && u.Port == other.Port
}

// Resolve reads a submodule's URL, which may be relative to u: it begins with ./ or ../ then. A relative URL never leaves u's host.
func (u URL) Resolve(text string) (URL, error) {
	if !strings.HasPrefix(text, "./") && !strings.HasPrefix(text, "../") {
		return Parse(text)
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || (r >= 0x7f && r < 0xa0) }) {
		return URL{}, failure.New(failure.InvalidInput, "relative git URL %q holds a space or a control character", text)
	}
	base := strings.TrimRight(u.Path, "/")
	for part := range strings.SplitSeq(text, "/") {
		switch {
		case part == "" || part == ".":
		case part != "..":
			base = path.Join(base, part)
		case strings.Trim(base, "/") == "":
			return URL{}, failure.New(failure.InvalidInput, "relative git URL %q leads above the root of %s", text, u)
		default:
			base = base[:max(0, strings.LastIndex(base, "/"))]
		}
	}
	u.Path = base
	if !u.scp && !strings.HasPrefix(u.Path, "/") {
		u.Path = "/" + u.Path
	}
	if err := u.check(); err != nil {
		return URL{}, failure.New(failure.InvalidInput, "relative git URL %q of %s: %w", text, u, err)
	}
	return u, nil
}
