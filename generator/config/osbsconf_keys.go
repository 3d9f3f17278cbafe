package config

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/osbs-tekton/osbs/pkg/osbsconf"
	"github.com/osbs-tekton/osbs/pkg/registry"
)

// carrier carries one setting over. Its value is not empty.
type carrier func(c *converter, s osbsconf.Setting)

// conversions are those of the keys that have a meaning today.
var conversions = map[string]carrier{
	"instance": stays("it chooses the instance for osbs"),
	"verbose":  stays("it is about osbs"),

	"namespace": text(func(c *Config) *string { return &c.Namespace }), "openshift_url": stays(login), "kubeconfig": stays(login), "context": stays(login),
	"username": stays(login), "password": stays(login), "token": stays(login), "token_file": stays(login), "client_cert": stays(login), "client_key": stays(login),
	"ca_file": stays(login), "verify_ssl": stays(login),
	"pipeline": func(c *converter, s osbsconf.Setting) { c.config.Name = s.Value; c.from("name", s) },

	"git_url": stays(param), "git_branch": stays(param), "git_commit": stays(param), "user": stays(param), "component": stays(param), "target": stays(param),
	"architecture": stays(param), "scratch": stays(param),
	"platform":     func(c *converter, s osbsconf.Setting) { c.platforms(s, []string{s.Value}) },
	"cpu_limit":    limit("cpu"),
	"memory_limit": limit("memory"),

	"git_secret":  secretText("osbs-git", func(c *Config) *string { return &c.GitSecret }),
	"git_ca_file": certificates("git_ca", "osbs-git-ca", func(c *Config) **Source { return &c.GitCA }),
	"submodules":  boolean(func(c *Config) **bool { return &c.Submodules }),

	"registry_uri": registries(func(c *Config) *List { return &c.RegistryURI }), "registry_secret": registrySecrets,
	"registry_ca_file":    certificates("registry_ca", "osbs-registry-ca", func(c *Config) **Source { return &c.RegistryCA }),
	"registry_insecure":   list(func(c *Config) *List { return &c.RegistryInsecure }),
	"source_registry_uri": oneRegistry(func(c *Config) *string { return &c.SourceRegistryURI }),
	"home_registry":       list(func(c *Config) *List { return &c.HomeRegistry }),

	"pulp_registry_name":      text(func(c *Config) *string { return &c.PulpRegistryName }),
	"pulp_sync_registry_name": text(func(c *Config) *string { return &c.PulpSyncRegistryName }),
	"pulp_secret":             secretText("osbs-pulp", func(c *Config) *string { return &c.PulpSecret }),
	"mirror_registry_uri":     registries(func(c *Config) *List { return &c.MirrorRegistryURI }),
	"archive_dir":             remember,
	"archive_format":          text(func(c *Config) *string { return &c.ArchiveFormat }),

	"repo_config":  text(func(c *Config) *string { return &c.RepoConfig }),
	"bump_release": text(func(c *Config) *string { return &c.BumpRelease }),
	"early_cutoff": boolean(func(c *Config) **bool { return &c.EarlyCutoff }),
	"lock_policy":  text(func(c *Config) *string { return &c.LockPolicy }),
	"lock_timeout": durationText(func(c *Config) *string { return &c.LockTimeout }),
	"layer_cache":  boolean(func(c *Config) **bool { return &c.LayerCache }),
	"format":       text(func(c *Config) *string { return &c.Format }),
	"compression":  text(func(c *Config) *string { return &c.Compression }),
	"isolation":    text(func(c *Config) *string { return &c.Isolation }),
	"build_secret": buildSecrets,
	"jobs":         jobs,

	"storage_driver": stays(machine), "parallel": stays(machine), "keep_builds": stays(machine), "data_dir": stays(machine),
}

// Why settings stay in osbs.conf.
const (
	login   = "it is how osbs reaches the cluster"
	param   = "it is about one build, and a param of the Pipeline"
	machine = "it is about builds on this machine"
)

// goneConversions are those of keys of OSBS that have no meaning any more in osbs.conf, and one in the configuration.
var goneConversions = map[string]carrier{
	"build_node_selector": remember, "explicit_build_node_selector": remember, "auto_build_node_selector": remember, "low_priority_node_selector": remember,
	"isolated_build_node_selector": remember, "scratch_build_node_selector": remember,
	"nfs_server_path": remember, "nfs_dest_dir": remember,
	"proxy": remember, "http_proxy": remember, "https_proxy": remember, "no_proxy": remember,
	"orchestrator_max_run_hours": remember, "worker_max_run_hours": remember,
	"platforms":     func(c *converter, s osbsconf.Setting) { c.platforms(s, words(s.Value)) },
	"storage_limit": storageLimit,
}

// selectors are the keys of node selectors, the one that counts first.
var selectors = []string{
	"build_node_selector", "explicit_build_node_selector", "auto_build_node_selector", "low_priority_node_selector", "isolated_build_node_selector", "scratch_build_node_selector",
}

// words splits a list as osbs.conf has it: at commas, white space and new lines.
func words(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' })
}

func stays(why string) carrier {
	return func(c *converter, s osbsconf.Setting) { c.note(c.where(s), "stays in osbs.conf: %s", why) }
}

func remember(c *converter, s osbsconf.Setting) { c.old[s.Name] = s }

func text(into func(*Config) *string) carrier {
	return func(c *converter, s osbsconf.Setting) { *into(c.config) = s.Value; c.from(s.Key, s) }
}

// secretText carries the name of a Secret. The local instance has a directory there.
func secretText(standard string, into func(*Config) *string) carrier {
	return func(c *converter, s osbsconf.Setting) {
		if c.local {
			c.note(c.where(s), "is a directory of this machine: make the Secret with `kubectl create secret generic %s --from-file=%s`", standard, s.Value)
			return
		}
		*into(c.config) = s.Value
		c.from(s.Key, s)
	}
}

// certificates carries a file of this machine: a ConfigMap takes its place.
func certificates(key, name string, into func(*Config) **Source) carrier {
	return func(c *converter, s osbsconf.Setting) {
		*into(c.config) = &Source{ConfigMap: name}
		c.from(key, s)
		c.note(c.where(s), "is a file of this machine: make the ConfigMap with `kubectl create configmap %s --from-file=ca.crt=%s`", name, s.Value)
	}
}

func boolean(into func(*Config) **bool) carrier {
	return func(c *converter, s osbsconf.Setting) {
		b, err := osbsconf.ParseBool(s.Value)
		if err != nil { // osbsconf has accepted it
			c.note(c.where(s), "is not carried over: %v", err)
			return
		}
		*into(c.config) = &b
		c.from(s.Key, s)
	}
}

func list(into func(*Config) *List) carrier {
	return func(c *converter, s osbsconf.Setting) {
		for _, word := range words(s.Value) {
			if !slices.Contains(*into(c.config), word) {
				*into(c.config) = append(*into(c.config), word)
			}
		}
		c.from(s.Key, s)
	}
}

// registries carries a list of registries; one without TLS is one of registry_insecure now.
func registries(into func(*Config) *List) carrier {
	return func(c *converter, s osbsconf.Setting) {
		for _, word := range words(s.Value) {
			*into(c.config) = append(*into(c.config), word)
			c.plain(word, s)
		}
		c.from(s.Key, s)
	}
}

func oneRegistry(into func(*Config) *string) carrier {
	return func(c *converter, s osbsconf.Setting) {
		*into(c.config) = s.Value
		c.plain(s.Value, s)
		c.from(s.Key, s)
	}
}

// plain adds a registry that has no TLS to registry_insecure.
func (c *converter) plain(text string, s osbsconf.Setting) {
	u, err := registry.ParseURI(text)
	if err != nil || !u.Insecure {
		return
	}
	for _, have := range c.config.RegistryInsecure {
		if h, err := registry.ParseURI(have); err == nil && h.Host == u.Host {
			return
		}
	}
	c.config.RegistryInsecure = append(c.config.RegistryInsecure, u.Host)
	c.from("registry_insecure", s)
}

func registrySecrets(c *converter, s osbsconf.Setting) {
	names := words(s.Value)
	if c.local {
		c.note(c.where(s), "has directories of this machine: make a Secret of the first with `kubectl create secret generic osbs-registry --from-file=%s`, and name it and the others in registry_secret", strings.Join(names[:min(1, len(names))], ""))
		return
	}
	for _, name := range names {
		if slices.Contains(c.config.RegistrySecret, name) {
			c.note(c.where(s), "names %s twice: once is enough, a Secret serves all hosts that it names", name)
			continue
		}
		c.config.RegistrySecret = append(c.config.RegistrySecret, name)
	}
	c.from(s.Key, s)
}

// durationText carries a duration, which may be a number of seconds in osbs.conf. None is 0.
func durationText(into func(*Config) *string) carrier {
	return func(c *converter, s osbsconf.Setting) {
		d, err := time.ParseDuration(s.Value)
		if seconds, notNumber := strconv.Atoi(s.Value); notNumber == nil {
			d, err = time.Duration(seconds)*time.Second, nil
		}
		if err != nil || d <= 0 {
			c.note(c.where(s), "is left out: without it there is no limit but the stage's own")
			return
		}
		*into(c.config) = shortDuration(d)
		c.from(s.Key, s)
	}
}

// shortDuration leaves out the units of which there are none.
func shortDuration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

func limit(name string) carrier {
	return func(c *converter, s osbsconf.Setting) {
		stage := c.stage(buildStage)
		if stage.Resources == nil {
			stage.Resources = &Resources{Limits: map[string]string{}}
		}
		stage.Resources.Limits[name] = s.Value
		c.config.Stages[buildStage] = stage
		c.from("stages", s)
	}
}

// stage is the settings of a stage so far.
func (c *converter) stage(name string) Stage {
	if c.config.Stages == nil {
		c.config.Stages = map[string]Stage{}
	}
	return c.config.Stages[name]
}

// buildSecrets carries id=path; keys of one Secret take the place of files.
func buildSecrets(c *converter, s osbsconf.Setting) {
	const name = "osbs-build-secret"
	command := "kubectl create secret generic " + name
	for _, word := range words(s.Value) {
		id, file, _ := strings.Cut(word, "=")
		if err := rulesByKind["buildsecret.id"].text(id); err != nil {
			c.note(c.where(s), "%v; accepted are letters, digits, -, _ and .", err)
			continue
		}
		c.config.BuildSecret = append(c.config.BuildSecret, BuildSecret{ID: id, Secret: name, Key: id})
		command += " --from-file=" + id + "=" + file
	}
	c.from(s.Key, s)
	c.note(c.where(s), "has files of this machine: make the Secret with `%s`", command)
}

func jobs(c *converter, s osbsconf.Setting) {
	n, err := strconv.Atoi(s.Value)
	if err != nil || n == 0 {
		c.note(c.where(s), "is left out: 0 is the stage's own number")
		return
	}
	c.config.Jobs = n
	c.from(s.Key, s)
}

func storageLimit(c *converter, s osbsconf.Setting) {
	if err := quantity.text(s.Value); err != nil {
		c.note(c.where(s), "is not carried over: %v; set workspace.size", err)
		return
	}
	c.config.Workspace.Size = s.Value
	c.from("workspace", s)
}

// platforms carries architectures in OSBS's words, or in Go's.
func (c *converter) platforms(s osbsconf.Setting, names []string) {
	for _, name := range names {
		platform, ok := goPlatform(name)
		switch {
		case !ok:
			c.note(c.where(s), "%.60q is not carried over: no architecture is called that", name)
		case !slices.Contains(c.config.Platforms, platform):
			c.config.Platforms = append(c.config.Platforms, platform)
			c.from("platforms", s)
		}
	}
	if len(c.config.Platforms) > 1 && c.config.Workspace.AccessMode == "" {
		c.config.Workspace.AccessMode = readWriteMany
		c.from("workspace", s)
		c.note(c.where(s), "needs a workspace that pods on several nodes can share: set workspace.storage_class to a class that has the access mode %s", readWriteMany)
	}
}

// goPlatform is a platform in Go's words.
func goPlatform(name string) (string, bool) {
	system, architecture, found := strings.Cut(name, "/")
	if !found {
		system, architecture = "linux", name
	}
	first, variant, _ := strings.Cut(architecture, "/")
	goWord, known := architectures[first]
	if goWord != "" {
		architecture = path.Join(goWord, variant)
	}
	platform := system + "/" + architecture
	return platform, known && rulesByKind["platforms[]"].text(platform) == nil
}

// together carries over what several settings say together.
func (c *converter) together() {
	c.archive()
	c.runHours()
	c.nodeSelectors()
}

// archive makes a volume of an NFS share.
func (c *converter) archive() {
	share, hasShare := c.old["nfs_server_path"]
	if server, exported, ok := strings.Cut(share.Value, ":"); hasShare && ok && path.IsAbs(exported) {
		c.config.ArchiveVolume = &Volume{NFS: &NFSVolume{Server: server, Path: path.Clean(exported)}}
		c.from("archive_volume", share)
	} else if hasShare {
		c.note(c.where(share), "is not carried over: %.60q is not SERVER:/PATH; set archive_volume", share.Value)
	}
	if dir, ok := c.old["nfs_dest_dir"]; ok {
		c.config.ArchiveDir = strings.Trim(path.Clean("/"+dir.Value), "/")
		c.from("archive_dir", dir)
	}
	dir, ok := c.old["archive_dir"]
	switch {
	case !ok:
	case c.config.ArchiveVolume != nil:
		c.note(c.where(dir), "is where this machine has mounted the volume: archive_volume and archive_dir say it now")
	default:
		c.note(c.where(dir), "is not carried over: name the volume that is mounted at %s in archive_volume, and the directory in archive_dir", dir.Value)
	}
}

// runHours carries the longest time of a build.
func (c *converter) runHours() {
	for _, name := range []string{"orchestrator_max_run_hours", "worker_max_run_hours"} {
		s, ok := c.old[name]
		if !ok {
			continue
		}
		hours, err := strconv.Atoi(s.Value)
		switch {
		case err != nil || hours <= 0 || hours > int(maxDuration/time.Hour):
			c.note(c.where(s), "is not carried over: %.60q is no number of hours; set timeout", s.Value)
		case c.config.Timeout != "":
			c.note(c.where(s), "is not carried over: there is one pipeline, and timeout is what the orchestrator had")
		default:
			c.config.Timeout = fmt.Sprintf("%dh", hours)
			c.from("timeout", s)
		}
	}
}

// nodeSelectors carries the first of the node selectors; there is one for all builds now.
func (c *converter) nodeSelectors() {
	names := slices.Clone(selectors)
	for _, name := range slices.Sorted(maps.Keys(c.old)) {
		if strings.HasPrefix(name, "node_selector.") {
			names = append(names, name)
		}
	}
	carried := ""
	for _, name := range names {
		s, ok := c.old[name]
		if !ok {
			continue
		}
		if strings.EqualFold(strings.Trim(s.Value, `"'`), "none") {
			c.note(c.where(s), "asks for no node in particular, which is the default")
			continue
		}
		selector, err := nodeSelector(s.Value)
		platform, isPlatform := goPlatform(strings.TrimPrefix(name, "node_selector."))
		switch {
		case err != nil:
			c.note(c.where(s), "is not carried over: %v; set stages.build.node_selector", err)
		case strings.HasPrefix(name, "node_selector.") && (!isPlatform || !slices.Equal(c.config.Platforms, []string{platform})):
			c.note(c.where(s), "is not carried over: platforms chooses nodes by their label %s; give others in the pod template of the task build-... with an overlay", nodeArch)
		case carried != "":
			c.note(c.where(s), "is not carried over: stages.build.node_selector is that of all builds, and has what %s said", carried)
		default:
			carried = name
			stage := c.stage(buildStage)
			stage.NodeSelector = selector
			c.config.Stages[buildStage] = stage
			c.from("stages", s)
			if name != "build_node_selector" {
				c.note(c.where(s), "is carried over for all builds: stages.build.node_selector makes no difference between kinds of builds")
			}
		}
	}
}

// nodeSelector reads KEY=VALUE, with commas between several.
func nodeSelector(text string) (map[string]string, error) {
	selector := map[string]string{}
	for _, word := range words(strings.Trim(text, `"'`)) {
		key, value, found := strings.Cut(word, "=")
		if !found {
			return nil, fmt.Errorf("%.60q is not KEY=VALUE", word)
		}
		if err := labelKey.text(key); err != nil {
			return nil, err
		}
		if err := labelValue.text(value); err != nil {
			return nil, err
		}
		selector[key] = value
	}
	return selector, nil
}

// proxies carries proxies over. What is no proxy by the rules of the configuration is told.
func (c *converter) proxies() {
	p := &c.config.Proxy
	targets := map[string][]*string{"proxy": {&p.HTTP, &p.HTTPS}, "http_proxy": {&p.HTTP}, "https_proxy": {&p.HTTPS}}
	for _, name := range []string{"proxy", "http_proxy", "https_proxy"} { // a later one goes before
		s, ok := c.old[name]
		if !ok {
			continue
		}
		value := s.Value
		if !strings.Contains(value, "://") {
			value = "http://" + value
		}
		switch {
		case strings.Contains(value, "@"):
			c.note(c.where(s), "is not carried over, because it holds credentials: give HTTP_PROXY and HTTPS_PROXY to the stages from a Secret, with an overlay")
		case proxyURL.text(value) != nil:
			c.note(c.where(s), "is not carried over: it is no proxy; set proxy")
		default:
			for _, target := range targets[name] {
				*target = value
			}
			c.from("proxy", s)
		}
	}
	s, ok := c.old["no_proxy"]
	if !ok {
		return
	}
	if p.HTTP+p.HTTPS == "" {
		c.note(c.where(s), "is not carried over, because there is no proxy")
		return
	}
	rule := rulesByKind["proxy.no_proxy[]"]
	for host := range strings.FieldsFuncSeq(s.Value, func(r rune) bool { return r == ',' || r == ' ' }) {
		if rule.text(host) != nil {
			c.note(c.where(s), "%.60q is not carried over: it is no host", legible(host))
			continue
		}
		p.NoProxy = append(p.NoProxy, host)
	}
	c.from("proxy", s)
}
