package chain

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/chain/tree"
	"github.com/osbs-tekton/osbs/generator/chain/variable"
	"github.com/osbs-tekton/osbs/generator/config"
)

const (
	// mounted is where the Task files mount what a site gives.
	mounted = "/etc/osbs/"
	// archiveMount is where the volume is in which images are stored as files.
	archiveMount = "/var/lib/osbs/archive"
	// storageWorkspace is where the build stage keeps layers between builds.
	storageWorkspace = "storage"
	registrySecret   = "registry-secret"
	pullSecret       = "pull-secret"
	pulpCA           = "pulp-ca"
)

// furtherSecrets mounts the Secrets of a list after the first beside it, which has the volume: a registry secret has the place of its
// registry in registry_uri.
func furtherSecrets(volume string, secrets []string, spec *yaml.Node) {
	if tree.Named(tree.Items(spec, "volumes"), volume) == nil {
		return
	}
	dirs := []string{mounted + volume}
	for i := 1; i < len(secrets); i++ {
		name := fmt.Sprintf("%s-%d", volume, i+1)
		dirs = append(dirs, mounted+name)
		secret := tree.Map("secretName", secrets[i], "optional", true)
		addVolume(spec, tree.Map("name", name, "secret", secret))
		for _, step := range tree.Items(spec, "steps") {
			if tree.Named(tree.Items(step, "volumeMounts"), volume) != nil {
				mount(step, name, mounted+name, true)
			}
		}
	}
	for _, step := range tree.Items(spec, "steps") {
		for _, arg := range tree.Items(step, "args") {
			if flag := "-" + volume + "-dir="; arg.Value == flag+dirs[0] {
				arg.Value = flag + strings.Join(dirs, ",")
			}
		}
	}
}

// certificates mounts the CA certificates into the steps that are told their file. They are not optional: without them nothing would
// be reached, and the reason would be hard to see.
func certificates(cfg *config.Config, spec *yaml.Node) {
	for _, ca := range []struct {
		name   string
		source *config.Source
	}{{"git-ca", cfg.GitCA}, {"registry-ca", cfg.RegistryCA}, {pulpCA, cfg.NamedPulp().CA}} {
		if ca.source == nil {
			continue
		}
		var used bool
		for _, step := range tree.Items(spec, "steps") {
			if hasFlag(step, ca.name+"-file") {
				mount(step, ca.name, mounted+ca.name, true)
				used = true
			}
		}
		if used {
			addVolume(spec, sourceVolume(ca.name, *ca.source))
		}
	}
}

// caFile is where the certificates of a source are, empty if there is none.
func caFile(name string, s *config.Source) string {
	if s == nil {
		return ""
	}
	return mounted + name + "/" + config.CertificatesKey
}

func sourceVolume(name string, s config.Source) *yaml.Node {
	items := tree.List(tree.Map("key", s.DataKey(), "path", config.CertificatesKey))
	if s.Secret != "" {
		return tree.Map("name", name, "secret", tree.Map("secretName", s.Secret, "items", items))
	}
	return tree.Map("name", name, "configMap", tree.Map("name", s.ConfigMap, "items", items))
}

// buildSecrets mounts the files that RUN --mount=type=secret sees. They are not optional either.
func buildSecrets(cfg *config.Config, spec *yaml.Node) {
	for i, s := range cfg.BuildSecret {
		name := fmt.Sprintf("build-secret-%d", i+1)
		items := tree.List(tree.Map("key", s.Key, "path", s.Key))
		addVolume(spec, tree.Map("name", name, "secret", tree.Map("secretName", s.Secret, "items", items)))
		for _, step := range tree.Items(spec, "steps") {
			if hasFlag(step, "build-secret") {
				mount(step, name, mounted+name, true)
				addFlag(step, "build-secret", s.ID+"="+mounted+name+"/"+s.Key)
			}
		}
	}
}

func archiveDir(cfg *config.Config) string {
	if cfg.ArchiveVolume == nil {
		return cfg.ArchiveDir
	}
	return path.Join(archiveMount, path.Join("/", cfg.ArchiveDir))
}

// archive mounts the volume in which images are stored as files.
func archive(cfg *config.Config, spec *yaml.Node) {
	if cfg.ArchiveVolume == nil {
		return
	}
	volume := volumeSource(*cfg.ArchiveVolume)
	addVolume(spec, tree.Map("name", "archive", volume[0], volume[1]))
	for _, step := range tree.Items(spec, "steps") {
		if hasFlag(step, "archive-dir") {
			mount(step, "archive", archiveMount, false)
		}
	}
}

// storage makes a volume of the workspace for layers: Tekton binds no NFS share to a workspace, and with its affinity assistant no
// second claim.
func storage(cfg *config.Config, l *Link) {
	if cfg.Storage != nil {
		volume := volumeSource(*cfg.Storage)
		l.MountWorkspace(storageWorkspace, tree.Map("name", storageWorkspace, volume[0], volume[1]))
	}
}

// volumeSource is the key and the value of a volume that say what it is.
func volumeSource(v config.Volume) [2]any {
	if v.NFS != nil {
		return [2]any{"nfs", tree.Map("server", v.NFS.Server, "path", v.NFS.Path)}
	}
	return [2]any{"persistentVolumeClaim", tree.Map("claimName", v.Claim)}
}

// MountWorkspace replaces a workspace of the link's Task by a volume: it is mounted in every container that sees the workspace, at the
// same place, and the variables of the workspace become what they stand for. Nothing happens if the Task has no such workspace.
func (l *Link) MountWorkspace(name string, volume *yaml.Node) {
	spec := l.Spec()
	declared := tree.Items(spec, "workspaces")
	workspace := tree.Named(declared, name)
	if workspace == nil {
		return
	}
	dir := firstOf(tree.Text(workspace, "mountPath"), "/workspace/"+name)
	readOnly := tree.Text(workspace, "readOnly") == "true"
	containers := slices.Concat(tree.Items(spec, "steps"), tree.Items(spec, "sidecars"))
	volume = tree.Clone(volume)
	for other := volume; other != nil; { // a Task may have a volume of this name, and of another kind
		if other = tree.Named(tree.Items(spec, "volumes"), tree.Text(volume, "name")); other == nil || tree.Equal(other, volume) {
			break
		}
		tree.Set(volume, "name", tree.String(tree.Text(volume, "name")+"-volume"))
	}
	isolated := false
	for _, container := range containers {
		isolated = isolated || tree.Named(tree.Items(container, "workspaces"), name) != nil
	}
	for _, container := range containers {
		at, sees := dir, !isolated
		if usage := tree.Named(tree.Items(container, "workspaces"), name); usage != nil {
			at, sees = firstOf(tree.Text(usage, "mountPath"), dir), true
			tree.SetItems(container, "workspaces", without(tree.Items(container, "workspaces"), usage))
		}
		if sees {
			mount(container, tree.Text(volume, "name"), at, readOnly)
		}
		tree.Rewrite(container, func(text string) []string { return []string{workspaceVariables(text, name, at, volume)} })
	}
	tree.Rewrite(tree.Get(spec, "stepTemplate"), func(text string) []string { return []string{workspaceVariables(text, name, dir, volume)} })
	tree.SetItems(spec, "workspaces", without(declared, workspace))
	addVolume(spec, volume)
}

func without(items []*yaml.Node, item *yaml.Node) []*yaml.Node {
	var rest []*yaml.Node
	for _, i := range items {
		if i != item {
			rest = append(rest, i)
		}
	}
	return rest
}

func workspaceVariables(text, name, dir string, volume *yaml.Node) string {
	return variable.Rewrite(text, func(v variable.Variable) (string, bool) {
		if v.Kind != variable.Workspaces || v.Name(0) != name {
			return "", false
		}
		switch v.Name(1) {
		case "path":
			return dir, true
		case "bound":
			return "true", true
		case "volume":
			return tree.Text(volume, "name"), true
		case "claim":
			return tree.Text(volume, "persistentVolumeClaim", "claimName"), true
		}
		return "", false
	})
}

func addVolume(spec, volume *yaml.Node) {
	if tree.Named(tree.Items(spec, "volumes"), tree.Text(volume, "name")) == nil {
		tree.Append(spec, "volumes", volume)
	}
}

func mount(container *yaml.Node, volume, dir string, readOnly bool) {
	m := tree.Map("name", volume, "mountPath", dir)
	if readOnly {
		tree.Set(m, "readOnly", tree.Plain("true"))
	}
	tree.Append(container, "volumeMounts", m)
}

// hasFlag reports whether a step is given a flag.
func hasFlag(step *yaml.Node, flag string) bool { return flagIndex(step, flag) >= 0 }

func flagIndex(step *yaml.Node, flag string) int {
	for i, arg := range tree.Items(step, "args") {
		if strings.HasPrefix(arg.Value, "-"+flag+"=") {
			return i
		}
	}
	return -1
}

// addFlag gives a flag once more, after the first time: what follows -- is no flag.
func addFlag(step *yaml.Node, flag, value string) {
	args := tree.Items(step, "args")
	i := flagIndex(step, flag) + 1
	with := append(append(append([]*yaml.Node{}, args[:i]...), tree.String("-"+flag+"="+value)), args[i:]...)
	tree.SetItems(step, "args", with)
}
