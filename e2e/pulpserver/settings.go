package pulpserver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
)

// settings is Pulp's configuration: as its documentation has it behind a proxy, with users that a proxy's client certificates name.
const settings = `SECRET_KEY = %[2]q
DEPLOY_ROOT = "%[1]s"
MEDIA_ROOT = "%[1]s/media"
WORKING_DIRECTORY = "%[1]s/tmp"
FILE_UPLOAD_TEMP_DIR = "%[1]s/tmp"
STATIC_ROOT = "%[1]s/static"
DB_ENCRYPTION_KEY = "%[1]s/database.key"
DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "pulp", "USER": "pulp", "HOST": "%[1]s/postgres"}}
API_ROOT = %[4]q
CONTENT_ORIGIN = %[3]q
TOKEN_SERVER = "%[3]s/token/"
TOKEN_SIGNATURE_ALGORITHM = "ES256"
PRIVATE_KEY_PATH = "%[1]s/token.key"
PUBLIC_KEY_PATH = "%[1]s/token.pub"
USE_X_FORWARDED_HOST = True
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
REMOTE_USER_ENVIRON_NAME = "HTTP_REMOTE_USER"
AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend", "pulpcore.backends.ObjectRolePermissionBackend",
    "pulpcore.app.authentication.PulpNoCreateRemoteUserBackend"]
REST_FRAMEWORK__DEFAULT_AUTHENTICATION_CLASSES = ["pulpcore.app.authentication.BasicAuthentication",
    "pulpcore.app.authentication.PulpRemoteUserAuthentication"]
WORKER_TTL = 10
TASK_GRACE_INTERVAL = 5
ANALYTICS = False
`

// configure writes the settings and the keys that they name.
func (s *Server) configure(apiRoot string) error {
	for _, dir := range []string{"media", "tmp", "static"} {
		if err := os.MkdirAll(filepath.Join(s.dir, dir), 0o700); err != nil {
			return err
		}
	}
	text := fmt.Sprintf(settings, s.dir, rand.Text(), s.URL, apiRoot)
	if err := s.write("settings.py", []byte(text)); err != nil {
		return err
	}
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return err
	}
	if err := s.write("database.key", []byte(base64.URLEncoding.EncodeToString(key)+"\n")); err != nil {
		return err
	}
	return s.tokenKeys()
}

func (s *Server) write(name string, content []byte) error {
	return os.WriteFile(filepath.Join(s.dir, name), content, 0o600)
}

// tokenKeys are those with which Pulp's token server signs.
func (s *Server) tokenKeys() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return err
	}
	if err := s.write("token.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})); err != nil {
		return err
	}
	return s.write("token.pub", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))
}
