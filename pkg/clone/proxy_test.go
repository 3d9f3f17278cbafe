package clone

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/osbs-tekton/osbs/internal/forwardproxy"
	"github.com/osbs-tekton/osbs/internal/gittest"
)

// TestProxy clones over https through a forward proxy, which alone knows the server's name.
func TestProxy(t *testing.T) {
	if forwardproxy.Behind() {
		o := options(t, os.Getenv("GIT_URL"))
		o.GitSecretDir, o.CAFile = os.Getenv("SECRET"), os.Getenv("CA_FILE")
		got, err := Run(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println("commit", got.Commit)
		return
	}
	repo := gittest.New(t, files())
	root, name := filepath.Split(repo.Dir)
	web := gittest.ServeHTTPS(t, root, gittest.HTTPSOptions{Auth: true})
	proxy := forwardproxy.Start(t, map[string]string{"example.com": web.Base[len("https://"):]})
	out, err := forwardproxy.Rerun(t, "HTTPS_PROXY="+proxy.URL, "GIT_URL=https://example.com/"+name, "SECRET="+web.Secret(), "CA_FILE="+web.CAFile)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if diff := cmp.Diff([]string{"CONNECT example.com:443"}, proxy.Asked()); diff != "" {
		t.Errorf("what the proxy was asked for (-want +got):\n%s", diff)
	}
}
