package buildconfig

import (
	"crypto/sha256"
	"encoding/hex"
	"path"
	"slices"
	"strings"
)

// MaxName is the longest name that Name returns, in bytes: what OSBS left of 64 for the suffixes of build and pod.
const MaxName = 53

const (
	separator  = "-"
	hashDigits = 5
	// UnknownBranch stands in a name for a branch that was not given.
	UnknownBranch = "unknown"
)

// Name is the name of the build config of one branch of one git repository, by OSBS's rule: the repository's and the branch's names,
// dealt one character at a time in turn into what MaxName leaves, and five hex digits of a hash of the URL's path and the branch.
// The host is not part of it, so two repositories can have one name; the git labels tell them apart. The result is always a valid
// DNS label.
func Name(gitURL, branch string) string {
	if branch == "" {
		branch = UnknownBranch
	}
	sum := sha256.Sum256([]byte(strings.TrimLeft(urlPath(gitURL), "/") + branch))
	hash := hex.EncodeToString(sum[:])[:hashDigits]
	parts := deal(allowed(repository(gitURL)), allowed(branch), MaxName-hashDigits-2*len(separator))
	parts = append(parts, hash)
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), separator)
}

// repository is the last element of a git URL, without what people add to it or leave out.
func repository(gitURL string) string {
	u := strings.TrimRight(gitURL, "/")
	switch {
	case strings.HasSuffix(u, "/.git"):
		u = strings.TrimSuffix(u, "/.git")
	default:
		u = strings.TrimSuffix(u, ".git")
	}
	if i := strings.LastIndexByte(u, '/'); i >= 0 {
		u = u[i+1:]
	}
	return u
}

// allowed keeps what OpenShift allows in the name of a build config. Upper case is removed, not folded.
func allowed(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || 'a' <= r && r <= 'z' || '0' <= r && r <= '9' {
			return r
		}
		return -1
	}, s)
}

// deal takes characters of a and b in turn, limit in all, and strips separators from the ends of both.
func deal(a, b string, limit int) []string {
	na, nb := 0, 0
	for i := 0; i < max(len(a), len(b)) && na+nb < limit; i++ {
		if i < len(a) {
			na++
		}
		if i < len(b) && na+nb < limit {
			nb++
		}
	}
	return []string{strings.Trim(a[:na], separator), strings.Trim(b[:nb], separator)}
}

// urlPath is the path of a URL as Python's urlparse sees it, which differs from net/url: anything is accepted, an scp-style address
// has no scheme and is all path, and a scheme's colon needs no slashes after it.
func urlPath(rawURL string) string {
	rest := strings.TrimLeftFunc(rawURL, func(r rune) bool { return r <= ' ' })
	rest = strings.NewReplacer("\t", "", "\r", "", "\n", "").Replace(rest)
	scheme := ""
	if i := strings.IndexByte(rest, ':'); i > 0 && isScheme(rest[:i]) {
		scheme, rest = strings.ToLower(rest[:i]), rest[i+1:]
	}
	if after, ok := strings.CutPrefix(rest, "//"); ok {
		rest = ""
		if i := strings.IndexAny(after, "/?#"); i >= 0 {
			rest = after[i:]
		}
	}
	rest, _, _ = strings.Cut(rest, "#")
	rest, _, _ = strings.Cut(rest, "?")
	if slices.Contains(schemesWithParams(), scheme) {
		dir, file := path.Split(rest)
		file, _, _ = strings.Cut(file, ";")
		rest = dir + file
	}
	return rest
}

func isScheme(s string) bool {
	for i, r := range s {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		if !letter && (i == 0 || !strings.ContainsRune("0123456789+-.", r)) {
			return false
		}
	}
	return s != ""
}

// schemesWithParams are those whose last path element urlparse cuts at a semicolon.
func schemesWithParams() []string {
	return []string{"", "ftp", "hdl", "prospero", "http", "imap", "https", "shttp", "rtsp", "rtsps", "rtspu", "sip", "sips", "mms", "sftp", "tel"}
}
