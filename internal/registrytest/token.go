package registrytest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const (
	tokenIssuer  = "registrytest"
	tokenService = "registrytest"
	tokenKeyID   = "registrytest"
)

// TokenServer gives bearer tokens to whoever knows the account, by the rules of the distribution project's token authentication.
type TokenServer struct {
	signer jose.Signer
	jwks   string
	// certificate is a file; empty if tokens have none.
	certificate string
	lifetime    time.Duration
	issued      atomic.Int64
	// Identity, if set, is a refresh token for which the server gives tokens by OAuth.
	Identity string
	// Revoke, if set, decides for each token whether it is born expired.
	Revoke func(issued int64) bool
}

// Issued is how many tokens have been given.
func (s *TokenServer) Issued() int64 { return s.issued.Load() }

// newTokenServer makes a token server. distribution 3 knows its key from the file jwks, and 2.8 from a certificate in each token, which is
// that in the file certificate: there it is asked for.
func newTokenServer(t testing.TB, dir string, lifetime time.Duration, withCertificate bool) *TokenServer {
	t.Helper()
	if lifetime == 0 {
		lifetime = time.Hour
	}
	key := newKey(t)
	options := (&jose.SignerOptions{}).WithType("JWT")
	certificate := ""
	if withCertificate {
		template := &x509.Certificate{
			SerialNumber: big.NewInt(4), Subject: pkix.Name{CommonName: tokenIssuer}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
			KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true,
		}
		der := sign(t, template, template, &key.PublicKey, key)
		certificate = writePEM(t, filepath.Join(dir, "token.crt"), "CERTIFICATE", der)
		options = options.WithHeader("x5c", []string{base64.StdEncoding.EncodeToString(der)})
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: tokenKeyID}}, options)
	if err != nil {
		t.Fatal(err)
	}
	keys := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: tokenKeyID, Algorithm: string(jose.ES256), Use: "sig"}}}
	data, err := json.Marshal(keys)
	if err != nil {
		t.Fatal(err)
	}
	return &TokenServer{signer: signer, lifetime: lifetime, certificate: certificate, jwks: writeFile(t, filepath.Join(dir, "jwks.json"), string(data))}
}

// parameters are the registry's side.
func (s *TokenServer) parameters() configuration.Parameters {
	return configuration.Parameters{
		"realm": "unused", "autoredirect": true, "autoredirectpath": "/token",
		"issuer": tokenIssuer, "service": tokenService, "jwks": s.jwks,
	}
}

// access is an entry of a token's access claim.
type access struct {
	Type    string   `json:"type"`
	Name    string   `json:"name"`
	Actions []string `json:"actions"`
}

// ServeHTTP implements http.Handler.
func (s *TokenServer) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method == http.MethodPost && s.Identity != "" {
		s.oauth(w, req)
		return
	}
	if req.Method != http.MethodGet {
		http.NotFound(w, req) // no OAuth
		return
	}
	user, pass, hasAuth := req.BasicAuth()
	if hasAuth && (user != username || pass != password) {
		http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"bad account"}]}`, http.StatusUnauthorized)
		return
	}
	var granted []access
	if hasAuth {
		granted = parseScopes(req.URL.Query()["scope"])
	}
	token, err := s.sign(user, granted)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"token":%q,"expires_in":%d}`, token, int(s.lifetime.Seconds())) // a token is ASCII
}

// oauth gives a token for a refresh token, by the rules of the distribution project's OAuth 2.
func (s *TokenServer) oauth(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if req.PostFormValue("grant_type") != "refresh_token" || req.PostFormValue("refresh_token") != s.Identity {
		http.Error(w, `{"error":"invalid_grant"}`, http.StatusUnauthorized)
		return
	}
	token, err := s.sign(username, parseScopes([]string{req.PostFormValue("scope")}))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	fmt.Fprintf(w, `{"access_token":%q,"expires_in":%d}`, token, int(s.lifetime.Seconds()))
}

func parseScopes(scopes []string) []access {
	var granted []access
	for _, list := range scopes {
		for _, scope := range strings.Fields(list) {
			parts := strings.SplitN(scope, ":", 3)
			if len(parts) == 3 {
				granted = append(granted, access{Type: parts[0], Name: parts[1], Actions: strings.Split(parts[2], ",")})
			}
		}
	}
	return granted
}

func (s *TokenServer) sign(user string, granted []access) (string, error) {
	id := make([]byte, 8)
	if _, err := rand.Read(id); err != nil {
		return "", err
	}
	now := time.Now()
	expiry := now.Add(s.lifetime)
	if n := s.issued.Add(1); s.Revoke != nil && s.Revoke(n) {
		expiry = now.Add(-10 * time.Minute) // distribution allows a minute of skew
	}
	claims := map[string]any{
		"iss": tokenIssuer, "sub": user, "aud": tokenService, "jti": hex.EncodeToString(id), "access": granted,
		"iat": now.Unix(), "nbf": now.Add(-time.Minute).Unix(), "exp": expiry.Unix(),
	}
	return jwt.Signed(s.signer).Claims(claims).Serialize()
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t testing.TB, certificate, parent *x509.Certificate, public *ecdsa.PublicKey, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, certificate, parent, public, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func writePEM(t testing.TB, file, kind string, der []byte) string {
	t.Helper()
	return writeFile(t, file, string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})))
}
