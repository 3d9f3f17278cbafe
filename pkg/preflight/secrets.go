package preflight

import (
	"context"
	"crypto/x509"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

func (c *check) secrets(ctx context.Context) {
	for _, s := range c.Secrets {
		c.secret(ctx, s)
	}
}

func (c *check) secret(ctx context.Context, s Secret) {
	subject := "Secret " + s.Name
	found, err := c.Kubernetes.CoreV1().Secrets(c.namespace).Get(ctx, s.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err) && s.Optional:
		c.warn(subject, "it does not exist: there are no credentials", s.For, "if these are needed: "+s.Create)
	case apierrors.IsNotFound(err):
		c.fail(failure.NotFound, subject, "it does not exist", s.For, s.Create)
	case err != nil:
		c.warn(subject, "it cannot be looked at: "+reason(err), s.For, "make sure that it is there")
	case len(s.Types) > 0 && !slices.Contains(s.Types, string(found.Type)):
		c.fail(failure.InvalidInput, subject, "its type is "+string(found.Type)+", not "+strings.Join(s.Types, " or "), s.For, "delete it, then: "+s.Create)
	case !hasKeys(found, s.Keys):
		c.fail(failure.InvalidInput, subject, "it lacks "+alternatives(s.Keys), s.For, "delete it, then: "+s.Create)
	default:
		c.ok(subject, "it is there")
	}
}

// hasKeys says whether a Secret has one of the alternatives, with something in each.
func hasKeys(s *corev1.Secret, keys [][]string) bool {
	return len(keys) == 0 || slices.ContainsFunc(keys, func(together []string) bool {
		return !slices.ContainsFunc(together, func(key string) bool { return len(s.Data[key]) == 0 })
	})
}

func alternatives(keys [][]string) string {
	var out []string
	for _, together := range keys {
		out = append(out, strings.Join(together, " and "))
	}
	return strings.Join(out, ", or ")
}

func (c *check) certificates(ctx context.Context) {
	for _, ca := range c.Certificates {
		subject, text, err := c.pem(ctx, ca)
		switch {
		case apierrors.IsNotFound(err):
			c.fail(failure.NotFound, subject, "it does not exist", ca.For, "create it with the certificates, in PEM, under the key "+ca.Key)
		case err != nil:
			c.warn(subject, "it cannot be looked at: "+reason(err), ca.For, "make sure that it is there")
		case text == "":
			c.fail(failure.InvalidInput, subject, "it has no key "+ca.Key, ca.For, "put the certificates, in PEM, under this key")
		case !x509.NewCertPool().AppendCertsFromPEM([]byte(text)):
			c.fail(failure.InvalidInput, subject, "there is no certificate in PEM under the key "+ca.Key, ca.For, "put certificates there that begin with -----BEGIN CERTIFICATE-----")
		default:
			c.ok(subject, "it has certificates")
		}
	}
}

func (c *check) pem(ctx context.Context, ca Certificates) (subject, text string, err error) {
	if ca.ConfigMap == "" {
		found, err := c.Kubernetes.CoreV1().Secrets(c.namespace).Get(ctx, ca.Secret, metav1.GetOptions{})
		if err != nil {
			return "Secret " + ca.Secret, "", err
		}
		return "Secret " + ca.Secret, string(found.Data[ca.Key]), nil
	}
	found, err := c.Kubernetes.CoreV1().ConfigMaps(c.namespace).Get(ctx, ca.ConfigMap, metav1.GetOptions{})
	if err != nil {
		return "ConfigMap " + ca.ConfigMap, "", err
	}
	return "ConfigMap " + ca.ConfigMap, found.Data[ca.Key], nil
}
