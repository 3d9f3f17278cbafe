package registrytest

import (
	"encoding/json"
	"net"
	"path/filepath"
	"testing"
)

// StartZot runs the registry zot, of which program is the executable. It keeps images in the OCI's formats only.
func StartZot(t testing.TB, program string, o Options) *Registry {
	t.Helper()
	if o.TokenServer || o.Wrap != nil {
		t.Fatal("registrytest: StartZot has neither TokenServer nor Wrap")
	}
	dir := t.TempDir()
	r := &Registry{Dir: filepath.Join(dir, "data"), Host: freePort(t)}
	r.URL = "http://" + r.Host
	address, port, err := net.SplitHostPort(r.Host)
	if err != nil {
		t.Fatal(err)
	}
	server := map[string]any{"address": address, "port": port}
	if o.TLS {
		files := r.writeCertificates(t, dir, o)
		certificates := map[string]string{"cert": files.certificate, "key": files.key}
		if o.ClientCertificate {
			certificates["cacert"] = files.ca
		}
		server["tls"] = certificates
		r.CAFile, r.URL = files.ca, "https://"+r.Host
	}
	if o.BasicAuth {
		server["auth"] = map[string]any{"htpasswd": map[string]string{"path": writeHtpasswd(t, dir)}}
		r.addAccount(t, dir)
		r.writeSecret(t)
	}
	config, err := json.Marshal(map[string]any{
		"distSpecVersion": "1.0.1-dev", "http": server, "log": map[string]string{"level": "error"},
		"storage": map[string]any{"rootDirectory": r.Dir, "dedupe": false, "gc": false},
	})
	if err != nil {
		t.Fatal(err)
	}
	run(t, r.Host, program, "serve", writeFile(t, filepath.Join(dir, "config.json"), string(config)))
	return r
}
