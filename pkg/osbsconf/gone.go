package osbsconf

import (
	"maps"
	"slices"
	"strings"

	"github.com/osbs-tekton/osbs/pkg/configparser"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

// goneKeys are the keys of OSBS that have no meaning any more, each with what replaced it.
func goneKeys() map[string]string {
	const (
		template   = "builds are described by Tekton tasks, not by JSON templates; the generator renders them, and an overlay customises them"
		reactor    = "there is no atomic-reactor to configure; the settings of the stages are keys of this file and parameters of the pipeline"
		worker     = "there are no orchestrator and worker builds: one pipeline builds an image"
		koji       = "builds are not registered in Koji"
		kerberos   = "log in with `oc login`, which knows Kerberos, and set kubeconfig, or set token_file"
		label      = "write it as a LABEL in the Dockerfile"
		nodes      = "on a cluster, set stages.build.node_selector in the generator's configuration"
		flatpak    = "Flatpaks are not built"
		pushURL    = "a release bump is pushed to git_url with the credentials of git_secret"
		authUse    = "credentials are used if they are set: username and password, token, token_file, client_cert, or those of the kubeconfig"
		nfs        = "mount the NFS directory, and set archive_dir to where it is mounted"
		proxy      = "set the environment variables HTTPS_PROXY and NO_PROXY"
		versions   = "images are pushed and synced in version 2 of the registry's API, the only one that registries and Pulp 3 have: leave the key out"
		schema1    = "manifests have schema 2, or are OCI's: nobody is given one of schema 1"
		manifests  = "an image of one platform has a manifest, and one of several has an index"
		kubeconfig = "the API server is asked for what it can do"
	)
	return map[string]string{
		"build_json_dir": template, "builder_build_json_dir": template, "build_type": template, "arrangement_version": template,
		"build_image": template, "build_imagestream": template, "build_from": template, "pipeline_run_path": template,
		"reactor_config_secret": reactor, "reactor_config_map": reactor, "reactor_config_map_scratch": reactor,
		"client_config_secret": reactor, "token_secrets": reactor, "builder_use_auth": reactor,
		"builder_openshift_url": reactor, "metadata_plugin_use_auth": reactor,
		"can_orchestrate": worker, "worker_token_secrets": worker, "orchestrator_max_run_hours": worker, "worker_max_run_hours": worker,
		"koji_hub": koji, "koji_root": koji, "koji_certs_secret": koji, "koji_use_kerberos": koji, "koji_kerberos_keytab": koji,
		"koji_kerberos_principal": koji,
		"use_kerberos":            kerberos, "kerberos_keytab": kerberos, "kerberos_principal": kerberos, "kerberos_ccache": kerberos,
		"use_auth": authUse,
		"vendor":   label + ": vendor", "build_host": label + ": com.redhat.build-host",
		"authoritative_registry": label + ": authoritative-source-url", "distribution_scope": label + ": distribution-scope",
		"info_url_format": label + ": url", "equal_labels": "the older spellings Name, Version and BZComponent are read; nothing is added to the image",
		"low_priority_node_selector": nodes, "scratch_build_node_selector": nodes, "explicit_build_node_selector": nodes,
		"auto_build_node_selector": nodes, "isolated_build_node_selector": nodes, "build_node_selector": nodes,
		"flatpak": flatpak, "flatpak_base_image": flatpak, "dependency_replacements": flatpak,
		"git_ref":      "set git_branch, and git_commit if the branch must be at one commit",
		"git_push_url": pushURL, "git_push_username": pushURL,
		"nfs_server_path": nfs, "nfs_dest_dir": nfs,
		"tag":                        "the tags of an image come from its labels and the file additional-tags",
		"unique_tag_only":            "build with --scratch",
		"yum_repourls":               "COPY the .repo file in the Dockerfile, or mount it as a build_secret",
		"sources_command":            "nothing is fetched from a lookaside cache: fetch sources in the Dockerfile, or insert a stage with an overlay",
		"storage_limit":              "on a cluster, set workspace.size in the generator's configuration",
		"registry_api_versions":      versions,
		"enable_v1":                  versions,
		"prefer_schema1_digest":      schema1,
		"openshift_required_version": kubeconfig,
		"group_manifests":            manifests,
		"platforms":                  "set platform, or --platform: one build is one platform's; on a cluster, platforms in the generator's configuration builds for several",
		"artifacts_allowed_domains":  "what a Dockerfile fetches is fetched by its RUN instructions: restrict the network of the build's pod",
		"skip_koji_check_for_base":   koji,
		"proxy":                      proxy,
		"http_proxy":                 proxy,
		"https_proxy":                proxy,
		"no_proxy":                   proxy,
	}
}

// goneFamilies are prefixes of keys that went together.
func goneFamilies() map[string]string {
	return map[string]string{
		"koji_":          "builds are not registered in Koji",
		"smtp_":          "no mail is sent: add a task that does to the pipeline's overlay, or watch PipelineRuns with a notifier",
		"odcs_":          "composes are not requested; a repository is named in the Dockerfile",
		"pdc_":           "the Product Definition Center is not asked; Flatpaks are not built",
		"node_selector.": "on a cluster, set stages.build.node_selector in the generator's configuration",
		"reactor_":       "there is no atomic-reactor to configure; the settings of the stages are keys of this file and parameters of the pipeline",
		"builder_":       "there is no atomic-reactor to configure; the settings of the stages are keys of this file and parameters of the pipeline",
	}
}

// gone says what replaced a key of OSBS that has no meaning any more.
func gone(name string) (string, bool) {
	if why, ok := goneKeys()[name]; ok {
		return why, true
	}
	for prefix, why := range goneFamilies() {
		if strings.HasPrefix(name, prefix) {
			return why, true
		}
	}
	return "", false
}

// platformSection begins the names of OSBS's sections about platforms, [platform:x86_64] for example.
const platformSection = "platform:"

// goneSection says what replaced a section of OSBS that has no meaning any more.
func goneSection(name string) (string, bool) {
	return "platforms are named in Go's words (linux/amd64), and there is no version 1 that one of them could have (enable_v1)", strings.HasPrefix(name, platformSection)
}

// checkGone refuses a value of a key without a meaning that asks for what cannot be done.
func (r *resolver) checkGone(s *configparser.Section, name string) error {
	if name != "registry_api_versions" {
		return nil
	}
	text, err := r.file.Value(s, name)
	if err != nil {
		return r.file.fail(err)
	}
	if versions := words(text); len(versions) > 0 && !slices.Contains(versions, "v2") {
		return failure.WithHint(failure.New(failure.Usage, "%s:%d: %s: v2 must be present in %s: %.60q is not supported any more", r.file.name, s.Keys[name].Line, name, name, text),
			"leave the key out: images are pushed and synced in version 2, the only one that registries and Pulp 3 have")
	}
	return nil
}

// closest is the known key that name is probably meant to be, empty if none is near.
func closest(name string) string {
	if moved, ok := movedKeys[name]; ok {
		return moved + " in a section [" + PulpSection + "NAME], NAME being what pulp_registry_name says"
	}
	all := keys()
	names := make([]string, 0, len(all))
	for _, k := range all {
		names = append(names, k.name)
	}
	return Nearest(name, names)
}

// Nearest is the one of names that differs least from name, empty if all differ by more than a third.
func Nearest(name string, names []string) string {
	best, distance := "", 2+len(name)/3
	for _, candidate := range names {
		if d := editDistance(name, candidate, distance); d < distance {
			best, distance = candidate, d
		}
	}
	return best
}

// editDistance is Levenshtein's distance of two short texts; anything from limit up is given as limit.
func editDistance(a, b string, limit int) int {
	const most = 64
	if len(a) > most || len(b) > most {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return min(row[len(b)], limit)
}

// GoneKeys are the keys of OSBS that have no meaning any more, sorted; a family is its prefix.
func GoneKeys() []string {
	names := append(slices.Collect(maps.Keys(goneKeys())), slices.Collect(maps.Keys(goneFamilies()))...)
	slices.Sort(names)
	return names
}
