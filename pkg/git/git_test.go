package git

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	"github.com/google/go-cmp/cmp"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/giturl"
	"github.com/osbs-tekton/osbs/pkg/retry"
)

func TestCheckBranch(t *testing.T) {
	for name, ok := range map[string]bool{
		"main": true, "feature/x": true, "extras-rhel-7.2": true, "a@b": true, "ä": true,
		"": false, "-x": false, "a..b": false, "a b": false, "a~1": false, "a^": false, "a:b": false, "a?": false, "a*": false, "a[": false, "a\\b": false,
		"a\nb": false, "a\x7f": false, "/a": false, "a/": false, "a.": false, "a//b": false, ".a": false, "a/.b": false, "a.lock": false, "a.lock/b": false,
		"@": false, "a@{b": false, strings.Repeat("a", 251): false,
	} {
		if err := CheckBranch(name); (err == nil) != ok || err != nil && failure.KindOf(err) != failure.Usage {
			t.Errorf("CheckBranch(%q): %v", name, err)
		}
	}
}

func TestParseCommit(t *testing.T) {
	tree, parent := strings.Repeat("1", 40), strings.Repeat("2", 40)
	for text, want := range map[string]Commit{
		"tree " + tree + "\nparent " + parent + "\nauthor A <a@b> 5 +0100\ncommitter C > D <c@d> 1700000000 +0100\ngpgsig x\n committer no\n\ncommitter A <a> 9 +0\ntext": {
			plumbing.NewHash(tree), []Hash{plumbing.NewHash(parent)}, time.Unix(1700000000, 0).UTC(),
		},
		"tree " + tree + "\ncommitter A <a@b> -5 +0000\n\n":             {plumbing.NewHash(tree), nil, time.Unix(0, 0).UTC()},
		"tree " + tree + "\ncommitter A <a@b> 99999999999999 +0000\n\n": {plumbing.NewHash(tree), nil, time.Unix(0, 0).UTC()},
		"tree " + tree + "\ncommitter rubbish\n":                        {plumbing.NewHash(tree), nil, time.Unix(0, 0).UTC()},
	} {
		got, err := ParseCommit(Hash{}, []byte(text))
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("ParseCommit(%q): %v (-want +got):\n%s", text, err, diff)
		}
	}
	for _, text := range []string{"", "tree x\n\n", "\n\ntree " + tree} {
		if _, err := ParseCommit(Hash{}, []byte(text)); failure.KindOf(err) != failure.InvalidInput {
			t.Errorf("ParseCommit(%q): %v", text, err)
		}
	}
}

func TestFromStore(t *testing.T) {
	store := "# comment\n\nhttps://a:1@other\nhttps://b:2@h:8443\nhttps://c:3@h/team\nhttps://d:4@h\n"
	for url, want := range map[string]string{
		"https://h/x": "d4", "https://h/team/x": "c3", "https://h/teams/x": "d4", "https://h:8443/x": "b2", "https://H/x": "d4", "https://d@h/team/x": "d4",
		"https://none/x": "", "https://e@h/x": "",
	} {
		u, err := giturl.Parse(url)
		if err != nil {
			t.Fatal(err)
		}
		auth, err := fromStore(store, "f", u)
		got := ""
		if auth != nil {
			got = auth.Username + auth.Password
		}
		if got != want || err != nil {
			t.Errorf("%s: %q, %v; want %q", url, got, err, want)
		}
	}
}

func FuzzFromStore(f *testing.F) {
	f.Add("https://a:1@h\n")
	f.Add("# x\n\nhttps://a:%zz@h")
	f.Add("rubbish-secret")
	u, err := giturl.Parse("https://h/x")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, err := fromStore(text, "name", u)
		if err == nil {
			return
		}
		if failure.KindOf(err) != failure.Unauthorized {
			t.Fatalf("kind %s", failure.KindOf(err))
		}
		if len(text) > 12 && strings.Contains(err.Error(), text) {
			t.Fatalf("the error shows the secret: %v", err)
		}
	})
}

func TestClassify(t *testing.T) {
	u, err := giturl.Parse("https://h/x")
	if err != nil {
		t.Fatal(err)
	}
	r := &Remote{url: u}
	answer := func(code int, header ...string) error {
		h := http.Header{}
		for i := 0; i < len(header); i += 2 {
			h.Set(header[i], header[i+1])
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://h/x", nil)
		if err != nil {
			t.Fatal(err)
		}
		return plumbing.NewUnexpectedError(&githttp.Err{Response: &http.Response{StatusCode: code, Header: h, Request: req}})
	}
	for name, tc := range map[string]struct {
		err       error
		kind      failure.Kind
		temporary bool
	}{
		"408":     {answer(408), failure.Unavailable, true},
		"429":     {answer(429, "Retry-After", "3"), failure.Unavailable, true},
		"500":     {answer(500), failure.Unavailable, true},
		"501":     {answer(501), failure.Unavailable, false},
		"410":     {answer(410), failure.NotFound, false},
		"407":     {answer(407), failure.Unavailable, false},
		"text":    {errors.New("rubbish"), failure.Unavailable, false},
		"reset":   {fmt.Errorf("decoding: %s", "connection reset by peer"), failure.Unavailable, true},
		"stalled": {errStalled, failure.Unavailable, true},
		"kind":    {failure.New(failure.InvalidInput, "x"), failure.InvalidInput, false},
	} {
		err := r.classify(tc.err)
		if failure.KindOf(err) != tc.kind || retry.IsTemporary(err) != tc.temporary {
			t.Errorf("%s: kind %s, temporary %v: %v", name, failure.KindOf(err), retry.IsTemporary(err), err)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	for value, want := range map[string]time.Duration{"": 0, "5": 5 * time.Second, "-1": 0, "x": 0, "999999": retry.MaxRetryAfter, "Mon, 01 Jan 2001 00:00:00 GMT": 0} {
		if got := retryAfter(&http.Response{Header: http.Header{"Retry-After": {value}}}); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
}

func TestFetchEndsWhenReceivingFails(t *testing.T) {
	dir := t.TempDir()
	content := make([]byte, 4<<20)
	_, _ = rand.Read(content)
	if err := os.WriteFile(filepath.Join(dir, "large"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"init", "-q", "-b", "main"}, {"add", "-A"}, {"-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-q", "-m", "large"},
	} {
		if out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	u, err := giturl.Parse("file://" + dir)
	if err != nil {
		t.Fatal(err)
	}
	remote, err := Open(Options{}, u, false)
	if err != nil {
		t.Fatal(err)
	}
	full := failure.New(failure.Storage, "the disk is full")
	err = remote.Fetch(t.Context(), func(refs Refs) (Request, error) {
		head, err := refs.Branch("main")
		return Request{Wants: []Hash{head}, Depth: 1}, err
	}, func(context.Context, Answer) error { return full })
	if !errors.Is(err, full) {
		t.Errorf("Fetch: %v", err)
	}
}
