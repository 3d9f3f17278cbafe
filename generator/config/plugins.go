package config

import (
	"path"
	"strings"

	"github.com/osbs-tekton/osbs/pkg/registry"
)

// fate is what became of a plugin of atomic-reactor.
type fate struct {
	// stage does it now, always; empty if nothing does.
	stage string
	// text says more.
	text string
}

var (
	noKoji     = fate{text: "builds are not registered in Koji; insert a Task that tells it, with an overlay"}
	noFetch    = fate{text: "nothing is fetched for a build: fetch in the Dockerfile, or insert a Task after clone with an overlay"}
	noYum      = fate{text: "COPY the .repo file in the Dockerfile, or mount it as a build_secret"}
	noFlatpak  = fate{text: "Flatpaks are not built"}
	noOperator = fate{text: "manifests of operators are not looked at; insert a Task with an overlay"}
	noInspect  = fate{text: "the image is not looked into; insert a Task that does, after build, with an overlay"}
	noChange   = fate{text: "the Dockerfile is built as it is, but for its bases: write it there, or insert a Task after prepare with an overlay"}
	noWorker   = fate{text: "there are no orchestrator and worker builds: one pipeline builds an image"}
)

// pluginFates are the plugins that no key of the configuration is about.
var pluginFates = map[string]fate{
	"pull_base_image_digest":    {stage: "detect-base", text: "bases are pinned to digests"},
	"change_from_in_dockerfile": {stage: "build", text: "it builds on the digests that detect-base has pinned"}, "check_base_image": {stage: "detect-base", text: "a base must exist"},
	"check_user_settings": {stage: "prepare", text: "the repository's files are checked"}, "assert_labels": {stage: "prepare", text: "the labels that an image must have are checked"},
	"dockerfile_content": {stage: "clone", text: "the record of the build names the commit"}, "cp_dockerfile": {stage: "clone", text: "the record of the build names the commit"},
	"tag_by_labels": {stage: "push", text: "tags come from the image's labels"}, "tag_from_config": {stage: "push", text: "tags come from the image's labels and the file additional-tags"},
	"push_floating_tags": {stage: importStage, text: "floating tags move after everything else has succeeded"}, "group_manifests": {stage: "push", text: "the images of several platforms get one index"},
	"docker_api": {stage: buildStage, text: "it has an engine of its own"}, "imagebuilder": {stage: buildStage, text: "it has an engine of its own"},
	"buildah_bud": {stage: buildStage, text: "it has an engine of its own"}, "binary_build": {stage: buildStage, text: "it has an engine of its own"}, "binary_build_task": {stage: buildStage, text: "it has an engine of its own"},
	"remove_built_image": {stage: buildStage, text: "nothing is left on a node"}, "store_metadata_in_osv3": {stage: "push", text: "what a build has made is in its results"},
	"store_metadata": {stage: "push", text: "what a build has made is in its results"},

	"reactor_config": {text: "there is no atomic-reactor to configure"}, "orchestrate_build": noWorker, "build_orchestrate_container": noWorker, "fetch_worker_metadata": noWorker,
	"remove_worker_metadata": noWorker, "compare_components": noWorker, "gather_builds_metadata": noWorker, "cancel_build": noWorker, "init_binary_build_dir": noWorker,

	"koji_delegate": noKoji, "koji_parent": noKoji, "inject_parent_image": noKoji, "add_image_content_manifest": noKoji,
	"distgit_fetch_artefacts": noFetch, "pyrpkg_fetch_artefacts": noFetch, "fetch_maven_artifacts": noFetch, "fetch_sources": noFetch, "fetch_docker_archive": noFetch,
	"download_remote_source": noFetch, "resolve_remote_source": noFetch, "resolve_composes": noFetch, "resolve_module_compose": noFetch, "source_container": noFetch,
	"maven_url_sources_metadata": noFetch, "generate_maven_metadata": noFetch,
	"add_yum_repo": noYum, "add_yum_repo_by_url": noYum, "inject_yum_repo": noYum, "yum_inject": noYum,
	"flatpak_create_dockerfile": noFlatpak, "flatpak_update_dockerfile": noFlatpak, "flatpak_create_oci": noFlatpak, "add_flatpak_labels": noFlatpak,
	"pin_operator_digest": noOperator, "export_operator_manifests": noOperator, "push_operator_manifests": noOperator,
	"all_rpm_packages": noInspect, "rpmqa": noInspect, "verify_media": noInspect, "verify_media_types": noInspect, "generate_sbom": noInspect,
	"add_filesystem": noChange, "add_help": noChange, "add_dockerfile": noChange, "add_buildargs_in_dockerfile": noChange, "hide_files": noChange,
	"run_cmd_in_container": noChange, "distribution_scope": noChange,
	"squash":               {text: "layers are kept as the Dockerfile makes them: join instructions there"},
	"delete_from_registry": {text: "nothing is deleted from registries: give them a policy"},
	"sendmail":             {text: "no mail is sent: add a Task that does to the Pipeline's finally, with an overlay, or watch PipelineRuns with a notifier"},
	"store_logs_to_file":   {text: "logs are those of the pods; `osbs build-logs` reads them"},
}

// pluginConversions are the plugins that the configuration, or an overlay, has something for.
var pluginConversions = map[string]func(*converter, plugin){
	"pulp_sync": pulpPlugin, "pulp_push": pulpPlugin, "pulp_publish": pulpPlugin, "pulp_tag": pulpPlugin, "pulp_pull": pulpPlugin,
	"import_image": importPlugin, "tag_and_push": pushPlugin, "bump_release": bumpPlugin, "pull_base_image": basePlugin,
	"stop_autorebuild_if_disabled": stopPlugin, "check_and_set_rebuild": rebuildPlugin, "is_autorebuild": rebuildPlugin,
	"add_labels_in_dockerfile": labelsPlugin, "cp_built_image_to_nfs": archivePlugin, "compress": compressPlugin, "check_and_set_platforms": platformsPlugin,
}

func importPlugin(c *converter, p plugin) {
	if !p.enabled {
		c.overlay = append(c.overlay, overlayEntry{comment: c.plugin(p), text: "- disable: " + importStage})
		c.note(c.plugin(p), "is in the overlay. Floating tags do not move without this stage, and no image is rebuilt when this one changes")
		return
	}
	c.note(c.plugin(p), "needs nothing: stage import always does it; the ImageStream has the name of the image")
	c.arguments(p, nil)
}

// pushPlugin takes the registries, if osbs.conf has none.
func pushPlugin(c *converter, p plugin) {
	if !p.enabled {
		c.note(c.plugin(p), "cannot be switched off: a build whose image is pushed nowhere has no result; build with --scratch to leave other tags alone")
		return
	}
	registries := p.arg("registries")
	if registries == nil || !registries.isObject || len(c.config.RegistryURI) > 0 {
		c.note(c.plugin(p), "needs nothing: stage push pushes to registry_uri")
		c.arguments(p, nil)
		return
	}
	for _, r := range registries.fields {
		u, err := registry.ParseURI(r.name)
		if err != nil {
			c.note(c.plugin(p), "%.100q is not carried over: it is no registry; set registry_uri", r.name)
			continue
		}
		c.config.RegistryURI = append(c.config.RegistryURI, r.name)
		c.fromPlugin("registry_uri", p)
		if insecure := r.value.field("insecure"); u.Insecure || insecure != nil && insecure.scalar == true {
			c.config.RegistryInsecure = append(c.config.RegistryInsecure, u.Host)
			c.fromPlugin("registry_insecure", p)
		}
		if r.value.field("secret") != nil {
			c.note(c.plugin(p), "the secret of %s is not carried over: name a Secret with a dockercfg in registry_secret", u.Host)
		}
	}
	c.arguments(p, []string{"registries"})
}

func bumpPlugin(c *converter, p plugin) {
	if p.enabled {
		c.note(c.plugin(p), "needs nothing: stage prepare bumps the release of an autorebuild; bump_release says when that is pushed")
		c.arguments(p, nil)
		return
	}
	c.config.BumpRelease = "never"
	delete(c.comments, "bump_release")
	c.fromPlugin("bump_release", p)
}

// basePlugin takes the registry that bases come from.
func basePlugin(c *converter, p plugin) {
	if !p.enabled {
		c.note(c.plugin(p), "cannot be switched off: stage detect-base pins bases to digests, and build pulls what it has not")
		return
	}
	if uri := p.arg("parent_registry").text(); uri != "" {
		if registryURI.text(uri) != nil {
			c.note(c.plugin(p), "the argument parent_registry is not carried over: it is no registry; set source_registry_uri")
		} else {
			insecure := p.arg("parent_registry_insecure")
			c.sourceRegistry(c.plugin(p), uri, insecure != nil && insecure.scalar == true)
		}
	} else {
		c.note(c.plugin(p), "needs nothing: stage detect-base pins bases to digests, and build pulls what it has not")
	}
	c.arguments(p, []string{"parent_registry", "parent_registry_insecure"})
}

func stopPlugin(c *converter, p plugin) {
	if !p.enabled {
		c.note(c.plugin(p), "cannot be switched off: stage prepare always reads the repo config file; a repository without one is rebuilt")
		return
	}
	if name := p.arg("config_file").text(); name != "" && rulesByKind["repo_config"].text(name) == nil {
		c.config.RepoConfig = name
		c.fromPlugin("repo_config", p)
	} else {
		c.note(c.plugin(p), "needs nothing: stage prepare reads the repo config file")
	}
	c.arguments(p, []string{"config_file"})
}

func rebuildPlugin(c *converter, p plugin) {
	if p.enabled {
		c.note(c.plugin(p), "needs nothing: each build knows what has started it")
		c.arguments(p, nil)
		return
	}
	no := false
	c.config.Autorebuild.Enabled = &no
	c.fromPlugin("autorebuild", p)
}

// labelsPlugin says which labels belong into Dockerfiles.
func labelsPlugin(c *converter, p plugin) {
	if !p.enabled {
		c.note(c.plugin(p), "cannot be switched off: stage build adds build-date, vcs-ref, vcs-type, vcs-url and architecture, and nothing else")
		return
	}
	if labels := p.arg("labels"); labels != nil && labels.isObject {
		for _, l := range labels.fields {
			c.note(c.plugin(p), "the label %s is not carried over: write LABEL %s=%q in the Dockerfiles", legible(l.name), legible(l.name), l.value.text())
		}
	} else {
		c.note(c.plugin(p), "needs nothing: stage build adds build-date, vcs-ref, vcs-type, vcs-url and architecture")
	}
	c.arguments(p, []string{"labels"})
}

// archivePlugin makes a volume of the NFS share.
func archivePlugin(c *converter, p plugin) {
	if !p.enabled {
		if c.config.ArchiveVolume == nil {
			c.note(c.plugin(p), "needs nothing: archive_volume is not set, so no archive is in the Pipeline")
			return
		}
		for _, key := range []string{"archive_volume", "archive_dir", "archive_format"} {
			for _, where := range c.comments[key] {
				c.note(where, "is not carried over, because %s switches %s off", c.customizeFile, p.name)
			}
			delete(c.comments, key)
		}
		c.config.ArchiveVolume, c.config.ArchiveDir, c.config.ArchiveFormat = nil, "", ""
		return
	}
	server, exported, ok := strings.Cut(p.arg("nfs_server_path").text(), ":")
	switch {
	case ok && path.IsAbs(exported):
		c.config.ArchiveVolume = &Volume{NFS: &NFSVolume{Server: server, Path: path.Clean(exported)}}
		c.fromPlugin("archive_volume", p)
	case c.config.ArchiveVolume == nil:
		c.note(c.plugin(p), "cannot be carried over: it has no nfs_server_path that is SERVER:/PATH; set archive_volume")
	}
	if dir := strings.Trim(path.Clean("/"+p.arg("dest_dir").text()), "/"); dir != "" && c.config.ArchiveVolume != nil {
		c.config.ArchiveDir = dir
		c.fromPlugin("archive_dir", p)
	}
	c.arguments(p, []string{"nfs_server_path", "dest_dir"})
}

func compressPlugin(c *converter, p plugin) {
	if p.enabled && p.arg("method").text() == "gzip" {
		c.config.Compression = "gzip"
		c.fromPlugin("compression", p)
		c.arguments(p, []string{"method"})
		return
	}
	if p.enabled {
		c.note(c.plugin(p), "cannot be carried over: layers can be compressed with gzip or zstd, or not at all; set compression")
		c.arguments(p, []string{"method"})
		return
	}
	c.note(c.plugin(p), "needs nothing: it was about the file that Docker exported; layers are compressed as compression says")
}

// platformsPlugin is about platforms that the site has named elsewhere.
func platformsPlugin(c *converter, p plugin) {
	c.note(c.plugin(p), "needs nothing: platforms says for which architectures images are built")
	c.arguments(p, nil)
}
