package instance_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/instance"
	"github.com/osbs-tekton/osbs/pkg/local"
	"github.com/osbs-tekton/osbs/pkg/osbsconf"
	"github.com/osbs-tekton/osbs/pkg/tekton"
)

func TestOpen(t *testing.T) {
	conf, _, err := osbsconf.Load(osbsconf.Options{Flags: map[string]string{"data_dir": t.TempDir()}, Home: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	i, err := instance.Open(t.Context(), conf, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := i.(*local.Instance); !ok {
		t.Errorf("the instance is a %T", i)
	}
	if err := i.Close(); err != nil {
		t.Error(err)
	}
}

func TestOpenCluster(t *testing.T) {
	conf := &osbsconf.Config{Instance: "production", OpenshiftURL: "https://api.example.com:6443", Token: "t", Namespace: "builds", Pipeline: "osbs"}
	i, err := instance.Open(t.Context(), conf, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := i.(*tekton.Instance); !ok {
		t.Errorf("the instance is a %T", i)
	}
}

func TestOpenNeedsCluster(t *testing.T) {
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	_, err := instance.Open(t.Context(), &osbsconf.Config{Instance: "production"}, "")
	if failure.KindOf(err) != failure.Usage || !strings.Contains(err.Error(), "kubeconfig") {
		t.Errorf("error: %v", err)
	}
}

func TestOpenRefusesOtherName(t *testing.T) {
	if _, err := instance.Open(t.Context(), &osbsconf.Config{Instance: osbsconf.Local}, "other"); err == nil {
		t.Error("opened")
	}
}

func TestLocalNeedsHome(t *testing.T) {
	for _, name := range []string{local.VariableDataDir, "XDG_DATA_HOME", "HOME"} {
		t.Setenv(name, "")
	}
	if _, err := instance.Local(&osbsconf.Config{Instance: osbsconf.Local}); failure.KindOf(err) != failure.Usage {
		t.Errorf("error: %v", err)
	}
}
