package preflight

import (
	"errors"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"sigs.k8s.io/yaml"

	"github.com/osbs-tekton/osbs/pkg/deploy"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

const pipeline = `apiVersion: tekton.dev/v1
kind: Pipeline
metadata: {name: osbs}
spec:
  tasks:
  - name: build
    taskSpec:
      steps: [{name: build, image: registry.example.com/build}]
`

const template = `apiVersion: v1
kind: ConfigMap
metadata: {name: osbs-run}
data:
  pipelinerun.yaml: |
    apiVersion: tekton.dev/v1
    kind: PipelineRun
    spec:
      pipelineRef: {name: osbs}
      workspaces:
      - name: workspace
        volumeClaimTemplate: {spec: {accessModes: [ReadWriteOnce]}}
      taskRunSpecs:
      - pipelineTaskName: build
        podTemplate: {hostUsers: false}
`

// world is a cluster that has all that is needed.
func world(t *testing.T) (Options, *fake.Clientset) {
	t.Helper()
	info := func(name, version string) *corev1.ConfigMap {
		return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "tekton-pipelines"}, Data: map[string]string{"version": version}}
	}
	kube := fake.NewClientset(
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "builds"}}, info("pipelines-info", "v1.15.1"),
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default", Namespace: "builds"}})
	list := func(group string, names ...string) *metav1.APIResourceList {
		out := &metav1.APIResourceList{GroupVersion: group}
		for _, name := range names {
			out.APIResources = append(out.APIResources, metav1.APIResource{Name: name})
		}
		return out
	}
	kube.Resources = []*metav1.APIResourceList{
		list("tekton.dev/v1", "pipelines", "pipelineruns", "taskruns"), list("image.openshift.io/v1", "imagestreams", "imagestreamimports"),
		list("coordination.k8s.io/v1", "leases"),
	}
	kube.PrependReactor("create", "selfsubjectaccessreviews", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, &authorizationv1.SelfSubjectAccessReview{Status: authorizationv1.SubjectAccessReviewStatus{Allowed: true}}, nil
	})
	o := Options{Kubernetes: kube, Target: &deploy.Target{Namespace: "builds", Mapper: meta.NewDefaultRESTMapper(nil)}}
	for _, text := range []string{pipeline, template} {
		u := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
			t.Fatal(err)
		}
		o.Objects = append(o.Objects, u)
	}
	return o, kube
}

func look(t *testing.T, o Options) map[string]Finding {
	t.Helper()
	report, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]Finding{}
	for _, f := range report.Findings {
		if (f.Level == OK) != (f.Do == "") || f.Level == Error && (f.Kind == "" || f.Why == "") {
			t.Errorf("%+v says too little, or too much", f)
		}
		out[f.Subject] = f
	}
	return out
}

func TestVersions(t *testing.T) {
	for version, want := range map[string]Level{"v1.15.1": OK, "1.0.0": OK, "v0.65.0": Error, "devel": Warning, "": Warning} {
		o, kube := world(t)
		info, err := kube.CoreV1().ConfigMaps("tekton-pipelines").Get(t.Context(), "pipelines-info", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		info.Data["version"] = version
		if _, err := kube.CoreV1().ConfigMaps("tekton-pipelines").Update(t.Context(), info, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		if f := look(t, o)["version of Tekton Pipelines"]; f.Level != want {
			t.Errorf("%q: %+v", version, f)
		}
	}
}

func TestAPIs(t *testing.T) {
	o, kube := world(t)
	kube.Resources = kube.Resources[2:]
	found := look(t, o)
	for subject, want := range map[string]Level{"Tekton Pipelines": Error, "the ImageStream API": Error, "the Lease API": OK, "Tekton Triggers": ""} {
		if f := found[subject]; f.Level != want || want == Error && f.Kind != failure.NotFound {
			t.Errorf("%s: %+v", subject, f)
		}
	}
}

// TestPods: each way in which a cluster refuses the pod of the build stage has an advice of its own.
func TestPods(t *testing.T) {
	forbidden := func(text string) error {
		return apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "osbs-preflight-x", errors.New(text))
	}
	for name, test := range map[string]struct {
		err error
		do  string
	}{
		"restricted": {forbidden(`violates PodSecurity "restricted:latest": runAsNonRoot != true`), "ask whoever runs the cluster"},
		"baseline":   {forbidden(`violates PodSecurity "baseline:latest": non-default capabilities`), "build_security: capabilities"},
		"scc":        {forbidden("unable to validate against any security context constraint: []"), "add-scc-to-user"},
		"quota":      {forbidden("exceeded quota: pods"), "quotas"},
		"invalid":    {apierrors.NewBadRequest("nodeSelector"), "overlay"},
	} {
		o, kube := world(t)
		kube.PrependReactor("create", "pods", func(a clienttesting.Action) (bool, runtime.Object, error) {
			if options := a.(clienttesting.CreateActionImpl).CreateOptions; len(options.DryRun) != 1 {
				t.Error("a pod would have been created")
			}
			return true, nil, test.err
		})
		if f := look(t, o)["pod of the task build"]; f.Level != Error || !strings.Contains(f.Do, test.do) {
			t.Errorf("%s: %+v", name, f)
		}
	}
	o, kube := world(t)
	kube.PrependReactor("create", "pods", func(a clienttesting.Action) (bool, runtime.Object, error) {
		pod := a.(clienttesting.CreateAction).GetObject().(*corev1.Pod).DeepCopy()
		pod.Spec.HostUsers = nil // what an API server does with a field that it does not know
		return true, pod, nil
	})
	if f := look(t, o)["pod of the task build"]; f.Level != Error || !strings.Contains(f.What, "does not know hostUsers") {
		t.Errorf("%+v", f)
	}
}

func TestSecrets(t *testing.T) {
	secret := Secret{Name: "s", Types: []string{"kubernetes.io/basic-auth"}, Keys: [][]string{{"username", "password"}}, For: "git", Create: "kubectl create"}
	data := map[string][]byte{"username": []byte("u"), "password": []byte("p")}
	for name, test := range map[string]struct {
		secret   *corev1.Secret
		optional bool
		want     Level
	}{
		"there":    {&corev1.Secret{Type: "kubernetes.io/basic-auth", Data: data}, false, OK},
		"missing":  {nil, false, Error},
		"optional": {nil, true, Warning},
		"type":     {&corev1.Secret{Type: "Opaque", Data: data}, true, Error},
		"keys":     {&corev1.Secret{Type: "kubernetes.io/basic-auth", Data: map[string][]byte{"username": nil}}, true, Error},
	} {
		o, kube := world(t)
		s := secret
		s.Optional = test.optional
		o.Secrets = []Secret{s}
		if test.secret != nil {
			test.secret.Name = "s"
			if _, err := kube.CoreV1().Secrets("builds").Create(t.Context(), test.secret, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		if f := look(t, o)["Secret s"]; f.Level != test.want {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

func TestPullSecrets(t *testing.T) {
	account := func(name string, pull ...string) *corev1.ServiceAccount {
		a := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}
		for _, s := range pull {
			a.ImagePullSecrets = append(a.ImagePullSecrets, corev1.LocalObjectReference{Name: s})
		}
		return a
	}
	openshift := account("osbs")
	openshift.Secrets = []corev1.ObjectReference{{Name: "osbs-token-x1"}, {Name: "osbs-dockercfg-y2"}}
	for name, test := range map[string]struct {
		accounts []*corev1.ServiceAccount
		named    []string
		want     string
	}{
		"none there":    {nil, nil, ""},
		"none":          {[]*corev1.ServiceAccount{account("osbs")}, nil, ""},
		"two accounts":  {[]*corev1.ServiceAccount{account("osbs", "a"), account("osbs-build", "a", "b")}, nil, "pull_secret: [a, b]"},
		"OpenShift's":   {[]*corev1.ServiceAccount{openshift}, nil, "pull_secret: [osbs-dockercfg-y2]"},
		"configured":    {[]*corev1.ServiceAccount{account("osbs", "a")}, []string{"b"}, ""},
		"a registry's":  {[]*corev1.ServiceAccount{account("osbs", "registry")}, nil, ""},
		"of no concern": {[]*corev1.ServiceAccount{account("default", "a")}, nil, ""},
	} {
		o, kube := world(t)
		o.Accounts, o.PullSecrets = []string{"osbs", "osbs-build"}, test.named
		o.Secrets = []Secret{{Name: "registry", Optional: true}}
		for _, a := range test.accounts {
			_ = kube.CoreV1().ServiceAccounts("builds").Delete(t.Context(), a.Name, metav1.DeleteOptions{})
			if _, err := kube.CoreV1().ServiceAccounts("builds").Create(t.Context(), a, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		f, found := look(t, o)["pull secrets"]
		if found != (test.want != "") || !strings.Contains(f.Do, test.want) || found && f.Level != Warning {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

func TestErr(t *testing.T) {
	if err := Err([]Finding{{Level: OK}, {Level: Warning}}); err != nil {
		t.Error(err)
	}
	err := Err([]Finding{{Level: Warning}, {Level: Error, Kind: failure.NotFound, Subject: "Secret s", What: "it does not exist"}, {Level: Error, Kind: failure.Usage}})
	if failure.KindOf(err) != failure.NotFound || !strings.Contains(err.Error(), "Secret s: it does not exist (and 1 more)") {
		t.Error(err)
	}
}
