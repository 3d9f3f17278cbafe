package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/osbs-tekton/osbs/generator/config"
	"github.com/osbs-tekton/osbs/generator/install"
	"github.com/osbs-tekton/osbs/pkg/deploy"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/installation"
	"github.com/osbs-tekton/osbs/pkg/osbs"
	"github.com/osbs-tekton/osbs/pkg/preflight"
)

// run installs. What has happened is in the document, whatever happens.
func (i *installer) run(c *cli.Context) error {
	ctx := c.Context
	i.say("namespace %s, %s", i.site.Namespace, i.site.Origin)
	if !c.Bool(flagSkipPreflight) {
		report, err := i.look(ctx)
		if err != nil {
			return err
		}
		if i.options.DryRun {
			for _, change := range report.Changes {
				i.record(change)
			}
			if err := preflight.Err(report.Findings); err != nil {
				return err
			}
			return i.afterNamespace(ctx)
		}
		if err := preflight.Err(report.Findings); err != nil {
			return err
		}
	}
	changes, err := i.site.Apply(ctx, i.namespace, i.options)
	i.document.Changes = append(i.document.Changes, changes...)
	if err != nil {
		return err
	}
	return i.afterNamespace(ctx)
}

// record records a change that was only tried.
func (i *installer) record(change deploy.Change) {
	i.document.Changes = append(i.document.Changes, change)
	if i.options.Progress != nil {
		i.options.Progress(change)
	}
}

// afterNamespace applies what needs other rights, and removes what an older version has left.
func (i *installer) afterNamespace(ctx context.Context) error {
	for _, object := range i.elsewhere {
		if err := i.applyElsewhere(ctx, object); err != nil {
			return err
		}
	}
	removed, err := i.site.Remove(ctx, deploy.Selection{Kinds: install.Kinds(), Selector: installation.Selector(i.name), Keep: i.namespace}, i.options)
	i.document.Changes = append(i.document.Changes, removed...)
	if failure.KindOf(err) == failure.Unauthorized {
		i.warn("what an older version left may still be there: " + err.Error())
		return nil
	}
	return err
}

// look has the cluster looked at, and shows what was found.
func (i *installer) look(ctx context.Context) (preflight.Report, error) {
	secrets, certificates := expected(i.config, i.site.Namespace)
	accounts, pull := accountsOf(i.config)
	report, err := preflight.Run(ctx, preflight.Options{
		Kubernetes: i.site.Kubernetes, Target: i.site.Target, Objects: i.namespace, Kinds: install.Kinds(),
		Secrets: secrets, Certificates: certificates, Accounts: accounts, PullSecrets: pull, Force: i.options.Force, Log: i.site.Log,
	})
	i.document.Preflight = report.Findings
	if i.json {
		return report, err
	}
	for _, f := range report.Findings {
		if f.Level == preflight.OK && !i.options.DryRun {
			continue
		}
		i.say("%-8s %s: %s", f.Level, f.Subject, f.What)
		for _, line := range []struct{ word, text string }{{"why", f.Why}, {"do", f.Do}} {
			if line.text != "" {
				i.say("         %s: %s", line.word, line.text)
			}
		}
	}
	return report, err
}

// accountsOf are the service accounts that a configuration has pods of, and the pull secrets that it names.
func accountsOf(cfg *config.Config) (accounts, pullSecrets []string) {
	if cfg == nil {
		return nil, nil
	}
	accounts = []string{cfg.Name, cfg.Name + "-build"}
	for _, stage := range slices.Sorted(maps.Keys(cfg.Stages)) {
		if account := cfg.Stages[stage].ServiceAccount; account != "" && !slices.Contains(accounts, account) {
			accounts = append(accounts, account)
		}
	}
	return accounts, cfg.PullSecret
}

// expected are the Secrets and certificates that a configuration names. Of objects that were rendered before nobody knows.
func expected(cfg *config.Config, namespace string) (secrets []preflight.Secret, certificates []preflight.Certificates) {
	if cfg == nil {
		return nil, nil
	}
	for _, s := range install.Secrets(cfg) {
		secret := preflight.Secret{Name: s.Name, Keys: s.KeySets(), For: s.For, Optional: s.Optional, Create: s.Command(namespace)}
		if len(s.Types) > 0 && s.Types[0] != "Opaque" {
			secret.Types = s.Types
		}
		secrets = append(secrets, secret)
	}
	for _, ca := range []struct {
		*config.Source
		who string
	}{{cfg.GitCA, "the stages that speak to git servers"}, {cfg.RegistryCA, "the stages that speak to registries"}, {cfg.NamedPulp().CA, "the stage sync"}} {
		if ca.Source != nil && ca.ConfigMap != "" {
			certificates = append(certificates, preflight.Certificates{ConfigMap: ca.ConfigMap, Key: ca.DataKey(), For: ca.who + " trust them"})
		}
	}
	return secrets, certificates
}

// applyElsewhere applies an object that is in no namespace, or in another one. Who may not is told what somebody else has to run.
func (i *installer) applyElsewhere(ctx context.Context, object *unstructured.Unstructured) error {
	changes, err := i.site.Apply(ctx, []*unstructured.Unstructured{object}, i.options)
	i.document.Changes = append(i.document.Changes, changes...)
	if kind := failure.KindOf(err); kind != failure.Unauthorized {
		return err
	}
	if object.GetKind() == "ClusterRoleBinding" {
		if there, err := preflight.Bound(ctx, i.site.Kubernetes, i.site.Namespace, subjectOf(object)); err == nil && there {
			i.record(deploy.Change{Kind: object.GetKind(), Name: object.GetName(), Result: deploy.Unchanged})
			return nil
		}
	}
	text, err := yaml.Marshal(object.Object)
	if err != nil {
		return failure.New(failure.Internal, "%s %s: %w", object.GetKind(), object.GetName(), err)
	}
	i.document.Pending = append(i.document.Pending, pending{
		Kind: object.GetKind(), Namespace: object.GetNamespace(), Name: object.GetName(),
		Command: "kubectl apply --server-side --field-manager=" + deploy.FieldManager + " -f - <<'EOF'\n" + string(text) + "EOF",
	})
	return nil
}

// subjectOf is the service account that a binding is for.
func subjectOf(binding *unstructured.Unstructured) string {
	subjects, _, _ := unstructured.NestedSlice(binding.Object, "subjects")
	for _, s := range subjects {
		if subject, ok := s.(map[string]any); ok {
			name, _ := subject["name"].(string)
			return name
		}
	}
	return ""
}

// finish shows what has happened, and what is left to do.
func (i *installer) finish(err error) error {
	if i.json {
		if err != nil {
			i.document.Failure = &osbs.Failure{Kind: failure.KindOf(err), Message: cleanLines(err.Error())}
		}
		if jsonErr := i.printJSON(i.document); jsonErr != nil {
			return cmp.Or(err, jsonErr)
		}
		return err
	}
	for _, p := range i.document.Pending {
		where := "the cluster"
		if p.Namespace != "" {
			where = "namespace " + p.Namespace
		}
		i.say("\nyou may not do this; somebody who administers %s has to run, once:\n%s", where, p.Command)
	}
	if err != nil {
		return err
	}
	if len(i.document.Preflight) == 0 { // which would have said it
		for _, note := range i.notes {
			i.note(note)
		}
	}
	i.say("%s", summary(i.document))
	return nil
}

// summary says in a line what has changed.
func summary(d installDocument) string {
	count := map[deploy.Result]int{}
	for _, change := range d.Changes {
		count[change.Result]++
	}
	var parts []string
	for _, result := range []deploy.Result{deploy.Created, deploy.Configured, deploy.Unchanged, deploy.Removed} {
		if n := count[result]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, result))
		}
	}
	text := "nothing to do"
	if len(parts) > 0 {
		text = strings.Join(parts, ", ")
	}
	if d.DryRun {
		text += " (nothing was changed: this was a dry run)"
	}
	if n := len(d.Pending); n > 0 {
		text += fmt.Sprintf("; %d for others to do", n)
	}
	return text
}

// tell shows what became of an object.
func (i *installer) tell(c deploy.Change) {
	where := ""
	if c.Namespace != "" && c.Namespace != i.site.Namespace {
		where = " in namespace " + c.Namespace
	}
	i.say("%-10s %s %s%s", c.Result, c.Kind, c.Name, where)
}

// say writes a line for people.
func (i *installer) say(format string, args ...any) {
	if !i.json {
		fmt.Fprintln(i.stdout, cleanLines(fmt.Sprintf(format, args...)))
	}
}
