package preflight

import (
	"context"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// pullSecrets looks for the Secrets that the service accounts pull images with. The stages have no token of the API with which they could
// ask for them, so a site has to name them. Accounts that do not exist yet, or that may not be looked at, are nothing to tell about.
func (c *check) pullSecrets(ctx context.Context) {
	if len(c.PullSecrets) > 0 {
		return
	}
	var names, of []string
	for _, account := range c.Accounts {
		found, err := c.Kubernetes.CoreV1().ServiceAccounts(c.namespace).Get(ctx, account, metav1.GetOptions{})
		if err != nil {
			continue
		}
		secrets := pulledWith(found)
		if len(secrets) == 0 {
			continue
		}
		of = append(of, account)
		for _, name := range secrets {
			known := slices.ContainsFunc(c.Secrets, func(s Secret) bool { return s.Name == name })
			if !known && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	if len(names) > 0 {
		c.warn("pull secrets", "the service accounts "+strings.Join(of, ", ")+" pull images with "+strings.Join(names, ", ")+", which no stage has",
			"a registry that the nodes pull from with these Secrets refuses the stages, unless a registry secret names it",
			"if bases come from there, set in the configuration: pull_secret: ["+strings.Join(names, ", ")+"]")
	}
}

// pulledWith are the pull secrets of a service account: those that it names, and the one that OpenShift makes for its own registry, which
// older versions of it list among the other Secrets too.
func pulledWith(account *corev1.ServiceAccount) []string {
	var names []string
	for _, s := range account.ImagePullSecrets {
		names = append(names, s.Name)
	}
	for _, s := range account.Secrets {
		if strings.HasPrefix(s.Name, account.Name+"-dockercfg-") && !slices.Contains(names, s.Name) {
			names = append(names, s.Name)
		}
	}
	return names
}
