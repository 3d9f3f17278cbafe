package tasks_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/osbs-tekton/osbs/tasks"
)

// read decodes a stage's Task; an unknown field is an error.
func read(t *testing.T, stage string) *pipelinev1.Task {
	t.Helper()
	data, err := tasks.Read(stage)
	if err != nil {
		t.Fatal(err)
	}
	task := &pipelinev1.Task{}
	if err := yaml.UnmarshalStrict(data, task); err != nil {
		t.Fatalf("%s.yaml: %v", stage, err)
	}
	return task
}

// eachTask runs a test for the Task of each stage.
func eachTask(t *testing.T, test func(t *testing.T, stage string, task *pipelinev1.Task)) {
	for _, stage := range tasks.Stages() {
		t.Run(stage, func(t *testing.T) { test(t, stage, read(t, stage)) })
	}
}

func TestReadUnknown(t *testing.T) {
	if _, err := tasks.Read("../tasks/clone"); err == nil {
		t.Error("a stage that does not exist was read")
	}
}

// TestTasksAreValid is what Tekton's admission webhook does.
func TestTasksAreValid(t *testing.T) {
	eachTask(t, func(t *testing.T, _ string, task *pipelinev1.Task) {
		task.SetDefaults(t.Context())
		if err := task.Validate(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestTasksAreDescribed(t *testing.T) {
	eachTask(t, func(t *testing.T, stage string, task *pipelinev1.Task) {
		if task.Name != "osbs-"+stage || task.Spec.DisplayName == "" || task.Spec.Description == "" {
			t.Errorf("name %q, display name %q, description %q", task.Name, task.Spec.DisplayName, task.Spec.Description)
		}
		for _, key := range []string{"name", "part-of", "version"} {
			if task.Labels["app.kubernetes.io/"+key] == "" {
				t.Errorf("no label app.kubernetes.io/%s", key)
			}
		}
		for _, key := range []string{"pipelines.minVersion", "categories", "tags", "displayName", "platforms"} {
			if task.Annotations["tekton.dev/"+key] == "" {
				t.Errorf("no annotation tekton.dev/%s", key)
			}
		}
		for _, p := range task.Spec.Params {
			checkText(t, "param "+p.Name, p.Description)
		}
		for _, r := range task.Spec.Results {
			checkText(t, "result "+r.Name, r.Description)
		}
		for _, w := range task.Spec.Workspaces {
			checkText(t, "workspace "+w.Name, w.Description)
		}
	})
}

func checkText(t *testing.T, what, description string) {
	t.Helper()
	if description == "" {
		t.Errorf("%s has no description", what)
	}
}

// TestNoShell: what a param holds is never part of a program's text.
func TestNoShell(t *testing.T) {
	eachTask(t, func(t *testing.T, _ string, task *pipelinev1.Task) {
		if task.Spec.StepTemplate != nil || len(task.Spec.Sidecars) > 0 {
			t.Error("there is a step template, or a sidecar")
		}
		for _, s := range task.Spec.Steps {
			if s.Script != "" || len(s.Command) > 0 || !strings.HasPrefix(s.Image, image) || strings.Contains(s.Image, "$") {
				t.Errorf("step %s: image %q, command %v, script %q: only the image's own program may run", s.Name, s.Image, s.Command, s.Script)
			}
			for _, e := range s.Env {
				if strings.Contains(e.Value, "$") {
					t.Errorf("step %s: variable %s is %q", s.Name, e.Name, e.Value)
				}
			}
		}
	})
}

// TestStepNames: the step is named for the stage, and it is the last one.
func TestStepNames(t *testing.T) {
	eachTask(t, func(t *testing.T, stage string, task *pipelinev1.Task) {
		steps := task.Spec.Steps
		if got := steps[len(steps)-1].Name; got != stage || len(steps) > 1 && stage != "push" {
			t.Errorf("%d steps, of which the last is %s", len(steps), got)
		}
	})
}

// buildCapabilities are what the build needs in its user namespace.
var buildCapabilities = []corev1.Capability{
	"CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_ADMIN", "SYS_CHROOT",
}

func TestSecurityContext(t *testing.T) {
	eachTask(t, func(t *testing.T, stage string, task *pipelinev1.Task) {
		yes, no, user := true, false, int64(65532)
		want := corev1.SecurityContext{
			RunAsNonRoot: &yes, RunAsUser: &user, RunAsGroup: &user, AllowPrivilegeEscalation: &no, Privileged: &no, ReadOnlyRootFilesystem: &yes,
			Capabilities:   &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		}
		if stage == "build" {
			root := int64(0)
			want.RunAsNonRoot, want.RunAsUser, want.RunAsGroup, want.Capabilities.Add = &no, &root, &root, buildCapabilities
		}
		for _, s := range task.Spec.Steps {
			if diff := cmp.Diff(&want, s.SecurityContext); diff != "" {
				t.Errorf("step %s (-want +got):\n%s", s.Name, diff)
			}
		}
	})
}

func TestResources(t *testing.T) {
	eachTask(t, func(t *testing.T, _ string, task *pipelinev1.Task) {
		for _, s := range task.Spec.Steps {
			r := s.ComputeResources
			if r.Requests.Cpu().IsZero() || r.Requests.Memory().IsZero() || r.Limits.Memory().IsZero() {
				t.Errorf("step %s: %v", s.Name, r)
			}
		}
	})
}

// token is where the API's token would be.
const token = "/var/run/secrets/kubernetes.io/serviceaccount"

// writable are the paths that a step with a read-only root can write, besides its workspaces and results.
var writable = []string{"/tmp", "/home/osbs"}

func TestMounts(t *testing.T) {
	eachTask(t, func(t *testing.T, stage string, task *pipelinev1.Task) {
		volumes := map[string]corev1.Volume{}
		for _, v := range task.Spec.Volumes {
			volumes[v.Name] = v
			if s := v.Secret; s != nil && (s.Optional == nil || !*s.Optional || s.SecretName != "$(params."+v.Name+")") {
				t.Errorf("volume %s: the Secret is not optional, or not named by the param", v.Name)
			}
		}
		for _, s := range task.Spec.Steps {
			mounted := map[string]string{}
			for _, m := range s.VolumeMounts {
				mounted[m.MountPath] = m.Name
				if volumes[m.Name].Secret != nil && (!m.ReadOnly || m.MountPath != "/etc/osbs/"+m.Name) {
					t.Errorf("step %s: %s is mounted at %s, read-only %v", s.Name, m.Name, m.MountPath, m.ReadOnly)
				}
			}
			for _, path := range writable {
				if volumes[mounted[path]].EmptyDir == nil {
					t.Errorf("step %s cannot write to %s", s.Name, path)
				}
			}
			usesAPI := stage == "lock" || stage == "import"
			if hidden := mounted[token] == "no-api-token" && volumes["no-api-token"].EmptyDir != nil; hidden == usesAPI {
				t.Errorf("step %s: the API's token is hidden: %v", s.Name, hidden)
			}
		}
	})
}

// TestSecretsGoWhereTheyAreNeeded: the build has no git credentials, and nobody else has Pulp's.
func TestSecretsGoWhereTheyAreNeeded(t *testing.T) {
	want := map[string][]string{
		"clone": {"git-secret"}, "detect-base": {"pull-secret", "registry-secret"}, "prepare": {"git-secret"}, "build": {"pull-secret", "registry-secret"},
		"push": {"git-secret", "pull-secret", "registry-secret"}, "sync": {"pull-secret", "pulp-secret", "registry-secret"}, "import": {"pull-secret", "registry-secret"},
	}
	eachTask(t, func(t *testing.T, _ string, task *pipelinev1.Task) {
		for _, s := range task.Spec.Steps {
			var got []string
			for _, m := range s.VolumeMounts {
				if strings.HasSuffix(m.Name, "-secret") {
					got = append(got, m.Name)
				}
			}
			slices.Sort(got)
			if diff := cmp.Diff(want[s.Name], got); diff != "" {
				t.Errorf("step %s (-want +got):\n%s", s.Name, diff)
			}
		}
	})
}
