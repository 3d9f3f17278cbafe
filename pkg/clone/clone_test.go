package clone

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/osbs-tekton/osbs/internal/gittest"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/redact"
	"github.com/osbs-tekton/osbs/pkg/retry"
	"github.com/osbs-tekton/osbs/pkg/step"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

// quick retries without making tests wait.
var quick = retry.Policy{Attempts: 4, First: time.Millisecond, Max: 5 * time.Millisecond}

func options(t *testing.T, url string) Options {
	t.Helper()
	return Options{Env: step.Env{Retry: quick}, Workspace: workspace.Dir(t.TempDir()), GitURL: url, GitBranch: "main"}
}

// sources are the files in a directory, as gittest.New takes them.
func sources(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() == ".git" {
			if d != nil && d.IsDir() {
				return fs.SkipDir
			}
			return err
		}
		if d.IsDir() {
			return nil
		}
		rel, _ := filepath.Rel(dir, name)
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			target, err := os.Readlink(name)
			found[rel] = "->" + target
			return err
		}
		if info.Mode()&0o100 != 0 {
			rel += "*"
		}
		data, err := os.ReadFile(name)
		found[rel] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func files() map[string]string {
	return map[string]string{
		"Dockerfile": "FROM scratch\nLABEL release=1\n", "run.sh*": "#!/bin/sh\n", "a/b/c": "deep\n", "a/b/d": "deep\n", "link": "->a/b/c",
		"outside": "->/etc/passwd", "up": "->../../..", "large": strings.Repeat("0123456789abcdef", 600_000), "umlaut-ä": "x", "space in name": "y",
		"a/copy": "deep\n", "a.b": "sorts before a/",
	}
}

// check compares a clone with the repository, and lets git itself check it.
func check(t *testing.T, o Options, got workspace.Clone, repo *gittest.Repo, commit string, want map[string]string) {
	t.Helper()
	if got.Commit != commit || got.Branch != o.GitBranch {
		t.Errorf("record = %+v, want commit %s", got, commit)
	}
	if epoch := repo.Git("show", "-s", "--format=%ct", commit); fmt.Sprint(got.CommitTime.Unix()) != epoch {
		t.Errorf("commit time = %v, want %s", got.CommitTime, epoch)
	}
	read, err := workspace.Read[workspace.Clone](o.Workspace)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, read); diff != "" {
		t.Errorf("record in the workspace differs (-returned +read):\n%s", diff)
	}
	source := o.Workspace.Source()
	if diff := cmp.Diff(want, sources(t, source)); diff != "" {
		t.Errorf("sources differ (-want +got):\n%s", diff)
	}
	if out := gittest.RunIn(t, source, "status", "--porcelain"); out != "" {
		t.Errorf("git status: %s", out)
	}
	gittest.RunIn(t, source, "fsck", "--full", "--strict")
	if head := gittest.RunIn(t, source, "rev-parse", "HEAD", "refs/remotes/origin/"+o.GitBranch); head != commit+"\n"+commit {
		t.Errorf("HEAD and the remote branch are %q", head)
	}
	if branch := gittest.RunIn(t, source, "symbolic-ref", "HEAD"); branch != "refs/heads/"+o.GitBranch {
		t.Errorf("HEAD is %s", branch)
	}
}

func TestSchemes(t *testing.T) {
	repo := gittest.New(t, files())
	for range 3 {
		repo.Commit("again", map[string]string{"a/b/c": fmt.Sprint("deep ", repo.Head(), "\n")})
	}
	want := files()
	want["a/b/c"] = sources(t, repo.Work)["a/b/c"]
	root, name := filepath.Split(repo.Dir)
	web := gittest.ServeHTTPS(t, root, gittest.HTTPSOptions{Auth: true})
	sshd := gittest.ServeSSH(t)
	for name, prepare := range map[string]func(*Options){
		"file": func(o *Options) { o.GitURL = repo.URL() },
		"https": func(o *Options) {
			o.GitURL, o.GitSecretDir, o.CAFile = web.URL(name), web.Secret(), web.CAFile
		},
		"https, .git-credentials": func(o *Options) {
			line := strings.Replace(web.Base, "https://", "https://"+web.User+":pass-word%2Fof%3Areader@", 1)
			o.GitURL, o.GitSecretDir, o.CAFile = web.URL(name), gittest.Secret(t, map[string]string{".git-credentials": "https://u:p@other\n" + line + "\n"}), web.CAFile
		},
		"https, credentials in the URL": func(o *Options) {
			o.GitURL, o.CAFile = strings.Replace(web.URL(name), "https://", "https://"+web.User+":pass-word%2Fof%3Areader@", 1), web.CAFile
		},
		"ssh": func(o *Options) { o.GitURL, o.GitSecretDir = sshd.URL(repo.Dir), sshd.Secret() },
		"ssh, as Tekton leaves it in the home directory": func(o *Options) {
			o.GitURL, o.Home = sshd.URL(repo.Dir), t.TempDir()
			if err := os.Mkdir(filepath.Join(o.Home, ".ssh"), 0o700); err != nil {
				t.Fatal(err)
			}
			for name, text := range map[string]string{"id_git-secret": sshd.Key, "known_hosts": sshd.KnownHosts()} {
				if err := os.WriteFile(filepath.Join(o.Home, ".ssh", name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t, "")
			prepare(&o)
			var log bytes.Buffer
			o.Redact = &redact.Set{}
			o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			got, err := Run(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			check(t, o, got, repo, repo.Head(), want)
			if n := gittest.RunIn(t, o.Workspace.Source(), "rev-list", "--count", "HEAD"); n != "1" {
				t.Errorf("%s commits were fetched", n)
			}
			noSecrets(t, o.Workspace, log.String()+fmt.Sprintf("%+v", got), "pass-word", "of:reader", "PRIVATE KEY", "of%3A")
		})
	}
}

// noSecrets looks for credentials in a text and in every file of a workspace.
func noSecrets(t *testing.T, dir workspace.Dir, text string, secrets ...string) {
	t.Helper()
	err := filepath.WalkDir(string(dir), func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			var data []byte
			data, err = os.ReadFile(name)
			text += string(data)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range secrets {
		if strings.Contains(text, s) {
			t.Errorf("%q is in the workspace or in the log", s)
		}
	}
}

func TestSCPForm(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("the scp-like form needs a server on port 22, which needs root")
	}
	repo := gittest.New(t, files())
	sshd := gittest.ServeSSHOn(t, "127.0.77.1:22")
	o := options(t, sshd.SCP(repo.Dir))
	o.GitSecretDir = sshd.Secret()
	got, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	check(t, o, got, repo, repo.Head(), files())
	if got.URL != sshd.SCP(repo.Dir) {
		t.Errorf("URL = %s", got.URL)
	}
}

// TestCommit finds commits at every distance from the head, with every ability of a server.
func TestCommit(t *testing.T) {
	repo := gittest.New(t, map[string]string{"Dockerfile": "FROM scratch\n", "n": "0"})
	commits := []string{repo.Head()}
	for i := 1; i <= 230; i++ {
		repo.Git("commit", "-q", "--allow-empty", "-m", fmt.Sprint(i))
		if i == 100 || i == 229 {
			repo.Commit("content", map[string]string{"n": fmt.Sprint(i)})
		}
		commits = append(commits, repo.Head())
	}
	repo.Git("push", "-q", "origin", "main")
	repo.Git("checkout", "-q", "-b", "other")
	elsewhere := repo.Commit("elsewhere", map[string]string{"other": "x"})
	repo.Git("checkout", "-q", "main")
	root, name := filepath.Split(repo.Dir)
	web := gittest.ServeHTTPS(t, root, gittest.HTTPSOptions{})
	for ability, config := range map[string][]string{
		"plain": nil, "filter": {"uploadpack.allowFilter"}, "any commit": {"uploadpack.allowReachableSHA1InWant"},
		"both": {"uploadpack.allowFilter", "uploadpack.allowReachableSHA1InWant"},
	} {
		for _, key := range []string{"uploadpack.allowFilter", "uploadpack.allowReachableSHA1InWant"} {
			repo.Bare("config", key, fmt.Sprint(strings.Contains(strings.Join(config, " "), key)))
		}
		for _, url := range []string{repo.URL(), web.URL(name)} {
			t.Run(ability+" "+url[:5], func(t *testing.T) {
				for _, i := range []int{229, 215, 100, 0} {
					want := map[string]string{"Dockerfile": "FROM scratch\n", "n": "0"}
					if i >= 100 {
						want["n"] = "100"
					}
					if i >= 229 {
						want["n"] = "229"
					}
					o := options(t, url)
					o.CAFile, o.GitCommit = web.CAFile, commits[i][:12]
					got, err := Run(t.Context(), o)
					if err != nil {
						t.Fatalf("commit %d: %v", i, err)
					}
					check(t, o, got, repo, commits[i], want)
				}
				o := options(t, url)
				o.CAFile, o.GitCommit = web.CAFile, elsewhere
				_, err := Run(t.Context(), o)
				if failure.KindOf(err) != failure.NotFound || !strings.Contains(err.Error(), elsewhere) || !strings.Contains(err.Error(), `"main"`) {
					t.Errorf("a commit of another branch: %v", err)
				}
			})
		}
	}
}

func TestErrors(t *testing.T) {
	repo := gittest.New(t, files())
	root, name := filepath.Split(repo.Dir)
	web := gittest.ServeHTTPS(t, root, gittest.HTTPSOptions{Auth: true})
	sshd := gittest.ServeSSH(t)
	otherKey, otherPublic := gittest.NewKey(t)
	empty := filepath.Join(root, "empty.git")
	gittest.RunIn(t, root, "init", "-q", "--bare", empty)
	secret := func(files ...string) string {
		m := map[string]string{}
		for i := 0; i < len(files); i += 2 {
			m[files[i]] = files[i+1]
		}
		return gittest.Secret(t, m)
	}
	host, _, _ := strings.Cut(sshd.KnownHosts(), " ")
	for name, tc := range map[string]struct {
		change func(*Options)
		kind   failure.Kind
		want   []string
	}{
		"URL":                {func(o *Options) { o.GitURL = "--upload-pack=x" }, failure.Usage, []string{"option"}},
		"no branch":          {func(o *Options) { o.GitBranch = "" }, failure.Usage, []string{"required"}},
		"branch like option": {func(o *Options) { o.GitBranch = "-x" }, failure.Usage, []string{"begins with -"}},
		"branch traverses":   {func(o *Options) { o.GitBranch = "../../x" }, failure.Usage, nil},
		"commit":             {func(o *Options) { o.GitCommit = "main" }, failure.Usage, []string{"not a commit"}},
		"branch":             {func(o *Options) { o.GitBranch = "nosuch" }, failure.NotFound, []string{`branch "nosuch" does not exist`, "main"}},
		"commit of none":     {func(o *Options) { o.GitCommit = strings.Repeat("0", 39) + "1" }, failure.NotFound, []string{"00001", `branch "main"`}},
		"repository":         {func(o *Options) { o.GitURL += ".nosuch" }, failure.NotFound, []string{"does not exist"}},
		"empty":              {func(o *Options) { o.GitURL = "file://" + empty }, failure.NotFound, []string{"is empty"}},
		"https repository":   {func(o *Options) { o.GitURL, o.GitSecretDir, o.CAFile = web.URL("nosuch.git"), web.Secret(), web.CAFile }, failure.NotFound, []string{"nosuch.git"}},
		"ssh repository":     {func(o *Options) { o.GitURL, o.GitSecretDir = sshd.URL("/nosuch.git"), sshd.Secret() }, failure.NotFound, []string{"nosuch.git"}},
		"certificate":        {func(o *Options) { o.GitURL, o.GitSecretDir = web.URL(name), web.Secret() }, failure.Untrusted, []string{"certificate", "git-ca-file"}},
		"CA file missing":    {func(o *Options) { o.GitURL, o.CAFile = web.URL(name), "/nosuch" }, failure.Usage, []string{"/nosuch"}},
		"CA file malformed":  {func(o *Options) { o.GitURL, o.CAFile = web.URL(name), filepath.Join(secret("ca", "x"), "ca") }, failure.Usage, []string{"no PEM certificate"}},
		"no secret":          {func(o *Options) { o.GitURL, o.CAFile = web.URL(name), web.CAFile }, failure.Unauthorized, []string{"give a git secret"}},
		"wrong password": {func(o *Options) {
			o.GitURL, o.CAFile, o.GitSecretDir = web.URL(name), web.CAFile, secret("username", "reader", "password", "wrong-secret")
		}, failure.Unauthorized, []string{"refused"}},
		"secret missing": {func(o *Options) { o.GitURL, o.CAFile, o.GitSecretDir = web.URL(name), web.CAFile, "/nosuch" }, failure.Unauthorized, []string{"/nosuch"}},
		"no username": {func(o *Options) {
			o.GitURL, o.CAFile, o.GitSecretDir = web.URL(name), web.CAFile, secret("password", "wrong-secret")
		}, failure.Unauthorized, []string{"no username"}},
		"no password": {func(o *Options) {
			o.GitURL, o.CAFile, o.GitSecretDir = web.URL(name), web.CAFile, secret("username", "u", "password", "\n")
		}, failure.Unauthorized, []string{"no password"}},
		"malformed store": {func(o *Options) {
			o.GitURL, o.CAFile, o.GitSecretDir = web.URL(name), web.CAFile, secret(".git-credentials", "wrong-secret")
		}, failure.Unauthorized, []string{"malformed in line 1"}},
		"http with secret":   {func(o *Options) { o.GitURL, o.GitSecretDir = "http://127.0.0.1:1/x", web.Secret() }, failure.Unauthorized, []string{"in clear"}},
		"ssh without secret": {func(o *Options) { o.GitURL = sshd.URL(repo.Dir) }, failure.Unauthorized, []string{"ssh-privatekey"}},
		"no key": {func(o *Options) {
			o.GitURL, o.GitSecretDir = sshd.URL(repo.Dir), secret("known_hosts", sshd.KnownHosts())
		}, failure.Unauthorized, []string{"no ssh-privatekey"}},
		"malformed key": {func(o *Options) {
			o.GitURL, o.GitSecretDir = sshd.URL(repo.Dir), secret("ssh-privatekey", "wrong-secret", "known_hosts", sshd.KnownHosts())
		}, failure.Unauthorized, []string{"no private key"}},
		"another key": {func(o *Options) {
			o.GitURL, o.GitSecretDir = sshd.URL(repo.Dir), secret("ssh-privatekey", otherKey, "known_hosts", sshd.KnownHosts())
		}, failure.Unauthorized, []string{"refused"}},
		"no known_hosts": {func(o *Options) { o.GitURL, o.GitSecretDir = sshd.URL(repo.Dir), secret("ssh-privatekey", sshd.Key) }, failure.Untrusted, []string{"known_hosts", "ssh-keyscan"}},
		"empty known_hosts": {func(o *Options) {
			o.GitURL, o.GitSecretDir = sshd.URL(repo.Dir), secret("ssh-privatekey", sshd.Key, "known_hosts", "\n")
		}, failure.Untrusted, []string{"known_hosts"}},
		"unknown host": {func(o *Options) {
			o.GitURL, o.GitSecretDir = sshd.URL(repo.Dir), secret("ssh-privatekey", sshd.Key, "known_hosts", "other "+sshd.HostKey)
		}, failure.Untrusted, []string{"unknown", "ssh-keyscan"}},
		"host key changed": {func(o *Options) {
			o.GitURL, o.GitSecretDir = sshd.URL(repo.Dir), secret("ssh-privatekey", sshd.Key, "known_hosts", host+" "+otherPublic)
		}, failure.Untrusted, []string{"not the one"}},
		"malformed known_hosts": {func(o *Options) {
			o.GitURL, o.GitSecretDir = sshd.URL(repo.Dir), secret("ssh-privatekey", sshd.Key, "known_hosts", "rubbish\n")
		}, failure.Unauthorized, []string{"known_hosts", "malformed"}},
		"server down": {func(o *Options) { o.GitURL = "https://127.0.0.1:1/x.git" }, failure.Unavailable, []string{"after 4 tries"}},
		"ssh server down": {func(o *Options) {
			o.GitURL, o.GitSecretDir = "ssh://git@127.0.0.1:1/x.git", secret("ssh-privatekey", sshd.Key, "known_hosts", sshd.KnownHosts())
		}, failure.Unavailable, []string{"after 4 tries"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t, repo.URL())
			tc.change(&o)
			_, err := Run(t.Context(), o)
			if failure.KindOf(err) != tc.kind {
				t.Errorf("kind %s, want %s: %v", failure.KindOf(err), tc.kind, err)
			}
			for _, want := range tc.want {
				if err != nil && !strings.Contains(err.Error(), want) {
					t.Errorf("error does not say %q: %v", want, err)
				}
			}
			if err != nil && (strings.Contains(err.Error(), "wrong-secret") || strings.Contains(err.Error(), web.Password)) {
				t.Errorf("error shows a secret: %v", err)
			}
			if _, err := workspace.Read[workspace.Clone](o.Workspace); failure.KindOf(err) != failure.NotFound {
				t.Errorf("a record was left: %v", err)
			}
		})
	}
}

// TestAfterCrash runs in a workspace that an earlier run has left in any state.
func TestAfterCrash(t *testing.T) {
	repo := gittest.New(t, files())
	for name, junk := range map[string]func(string) error{
		"half a clone": func(source string) error {
			return errors.Join(os.MkdirAll(filepath.Join(source, ".git", "objects", "pack"), 0o755),
				os.WriteFile(filepath.Join(source, ".git", "objects", "pack", "tmp_pack_1"), []byte("PACK"), 0o600),
				os.Mkdir(filepath.Join(source, "Dockerfile"), 0o755), os.Symlink("/etc", filepath.Join(source, "a")))
		},
		"a file": func(source string) error { return os.WriteFile(source, nil, 0o600) },
		"a link": func(source string) error { return os.Symlink("/nosuch", source) },
		"a stale record": func(source string) error {
			return os.WriteFile(filepath.Join(filepath.Dir(source), "clone.json"), []byte("{"), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t, repo.URL())
			if err := junk(o.Workspace.Source()); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				got, err := Run(t.Context(), o)
				if err != nil {
					t.Fatal(err)
				}
				check(t, o, got, repo, repo.Head(), files())
			}
		})
	}
}

// TestFaults is a server that fails at first.
func TestFaults(t *testing.T) {
	repo := gittest.New(t, files())
	root, name := filepath.Split(repo.Dir)
	for name2, fault := range map[string]func(http.ResponseWriter){
		"503": func(w http.ResponseWriter) { http.Error(w, "later", http.StatusServiceUnavailable) },
		"502": func(w http.ResponseWriter) { http.Error(w, "later", http.StatusBadGateway) },
		"429": func(w http.ResponseWriter) {
			w.Header().Set("Retry-After", "0")
			http.Error(w, "later", http.StatusTooManyRequests)
		},
		"reset":       func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
		"half a pack": nil,
	} {
		for _, path := range []string{"/info/refs", "/git-upload-pack"} {
			t.Run(name2+path, func(t *testing.T) {
				var count atomic.Int32
				web := gittest.ServeHTTPS(t, root, gittest.HTTPSOptions{Wrap: func(next http.Handler) http.Handler {
					return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						if !strings.HasSuffix(r.URL.Path, path) || count.Add(1) > 2 {
							next.ServeHTTP(w, r)
							return
						}
						if fault == nil {
							next.ServeHTTP(&cutWriter{ResponseWriter: w, left: 300}, r)
							return
						}
						fault(w)
					})
				}})
				o := options(t, web.URL(name))
				o.CAFile = web.CAFile
				got, err := Run(t.Context(), o)
				if err != nil {
					t.Fatal(err)
				}
				check(t, o, got, repo, repo.Head(), files())
			})
		}
	}
}

// cutWriter breaks the connection after some bytes.
type cutWriter struct {
	http.ResponseWriter
	left int
}

func (c *cutWriter) Write(p []byte) (int, error) {
	if c.left -= len(p); c.left < 0 {
		_, _ = c.ResponseWriter.Write(p[:max(0, len(p)+c.left)])
		if f, ok := c.ResponseWriter.(http.Flusher); ok {
			f.Flush()
		}
		panic(http.ErrAbortHandler)
	}
	return c.ResponseWriter.Write(p)
}

func TestRubbish(t *testing.T) {
	for name, text := range map[string]string{
		"a login page": "<html>log in</html>", "nothing": "", "half a line": "001e# service=git-upl", "a long line": strings.Repeat("f", 70000),
	} {
		t.Run(name, func(t *testing.T) {
			web := gittest.ServeHTTPS(t, t.TempDir(), gittest.HTTPSOptions{Wrap: func(http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) })
			}})
			o := options(t, web.URL("x.git"))
			o.CAFile = web.CAFile
			if _, err := Run(t.Context(), o); failure.KindOf(err) != failure.Unavailable {
				t.Errorf("kind %s: %v", failure.KindOf(err), err)
			}
		})
	}
}

func TestCancel(t *testing.T) {
	arrived := make(chan bool, 1)
	release := make(chan bool)
	web := gittest.ServeHTTPS(t, t.TempDir(), gittest.HTTPSOptions{Wrap: func(http.Handler) http.Handler {
		return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { arrived <- true; <-release })
	}})
	defer close(release)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-arrived; cancel() }()
	o := options(t, web.URL("x.git"))
	o.CAFile = web.CAFile
	if _, err := Run(ctx, o); failure.KindOf(err) != failure.Cancelled {
		t.Errorf("kind %s: %v", failure.KindOf(err), err)
	}
}

// TestRedirectGivesNoCredentials is a server that sends its visitors to another.
func TestRedirectGivesNoCredentials(t *testing.T) {
	var leaked atomic.Bool
	thief := gittest.ServeHTTPS(t, t.TempDir(), gittest.HTTPSOptions{Wrap: func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "" {
				leaked.Store(true)
			}
			http.NotFound(w, r)
		})
	}})
	web := gittest.ServeHTTPS(t, t.TempDir(), gittest.HTTPSOptions{Wrap: func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, thief.Base+r.URL.Path+"?"+r.URL.RawQuery, http.StatusFound)
		})
	}})
	o := options(t, web.URL("x.git"))
	o.CAFile, o.GitSecretDir = web.CAFile, web.Secret()
	if _, err := Run(t.Context(), o); failure.KindOf(err) != failure.NotFound {
		t.Errorf("kind %s: %v", failure.KindOf(err), err)
	}
	if leaked.Load() {
		t.Error("the credentials went to another server")
	}
}
