package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// check finds what is wrong: each value by its rule, then what does not go together.
func (c *Config) check(f *faults) {
	w := walker{f}
	w.value(reflect.ValueOf(c).Elem(), place{})
	w.needs(c)
	for _, rule := range []func(*Config, *faults){
		checkPresent, checkSources, checkPulp, checkRegistries, checkReach, checkBuild, checkTimes, checkPlatforms, checkPartition, checkStages, checkPods, checkAutorebuild, checkAnnotations,
	} {
		rule(c, f)
	}
}

// walker holds each value against its rule. Values that are empty are not there.
type walker struct{ *faults }

func (w walker) value(v reflect.Value, at place) {
	switch into := v.Interface().(type) {
	case Layout:
		w.layout(into, at)
		return
	case map[string]any: // Kubernetes' types check it
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			w.value(v.Elem(), at)
		}
	case reflect.Struct:
		at = at.in(v.Type())
		for _, field := range fieldsOf(v.Type()) {
			w.value(v.Field(field.index), at.field(field.name))
		}
	case reflect.Map:
		w.mapping(v, at)
	case reflect.Slice:
		for i := range v.Len() {
			w.value(v.Index(i), at.element(i))
		}
	case reflect.String:
		w.text(v.String(), at)
	case reflect.Int:
		if r := ruleOf(at); v.Int() < int64(r.least) || v.Int() > int64(r.most) {
			w.add(at.key, fmt.Sprintf("is %d", v.Int()), fmt.Sprintf("accepted are numbers from %d to %d", r.least, r.most))
		}
	}
}

func (w walker) mapping(v reflect.Value, at place) {
	rule := ruleOf(at).keys
	for _, key := range v.MapKeys() {
		name := key.String()
		if rule != nil {
			if err := rule.text(name); err != nil {
				w.wrong(at.entry(name).key, err, rule.right())
			}
		}
		w.value(v.MapIndex(key), at.entry(name))
	}
}

func (w walker) text(text string, at place) {
	r := ruleOf(at)
	if text == "" {
		return
	}
	if err := r.text(text); err != nil {
		w.wrong(at.key, err, r.right())
	}
}

func (w walker) layout(l Layout, at place) {
	if l.Pods == nil {
		r := ruleOf(at)
		if err := r.text(l.Name); err != nil {
			w.add(at.key, err.Error(), "accepted are "+layoutAccepted)
		}
		return
	}
	for i, pod := range l.Pods {
		for j, stage := range pod {
			one := at.element(i).element(j)
			if r := ruleOf(one); r.text(stage) != nil {
				w.add(one.key, fmt.Sprintf("%.60q is no stage", stage), "the stages are "+join(r.enum))
			}
		}
	}
}

// needs finds keys that make no sense without another. A value that is the default has not been given, unless a file says so.
func (w walker) needs(c *Config) {
	config, standard := reflect.ValueOf(*c), reflect.ValueOf(*Default())
	given := func(f field) bool {
		if w.lines != nil {
			return w.lines[f.name] > 0
		}
		return !reflect.DeepEqual(config.Field(f.index).Interface(), standard.Field(f.index).Interface())
	}
	fields := fieldsOf(config.Type())
	for _, f := range fields {
		other := rulesByKind[f.name].needs
		i := slices.IndexFunc(fields, func(o field) bool { return o.name == other })
		if i >= 0 && given(f) && !given(fields[i]) {
			w.add(f.name, "makes no sense without "+other, "set "+other+", or leave this key out", other)
		}
	}
}

// checkPresent finds what must not be empty.
func checkPresent(c *Config, f *faults) {
	for key, text := range map[string]string{
		"name": c.Name, "git_secret": c.GitSecret, "pulp_secret": c.PulpSecret, "build_security": c.BuildSecurity, "timeout": c.Timeout,
		"workspace.size": c.Workspace.Size, "workspace.access_mode": c.Workspace.AccessMode, "autorebuild.webhook_secret": c.Autorebuild.WebhookSecret,
	} {
		if text == "" {
			f.add(key, "is empty", "")
		}
	}
	for i, s := range c.BuildSecret {
		at := place{key: "build_secret"}.element(i).key
		if s.ID == "" || s.Secret == "" || s.Key == "" {
			f.add(at, "lacks id, secret or key", "each of the three is needed", at+".id", at+".secret", at+".key")
		}
	}
}

// checkSources finds certificates and volumes that are in two places, or in none.
func checkSources(c *Config, f *faults) {
	sources := map[string]*Source{"git_ca": c.GitCA, "registry_ca": c.RegistryCA}
	for name, p := range c.Pulp {
		sources[pulpEntry(name).field("ca").key] = p.CA
	}
	for key, s := range sources {
		if s != nil && (s.ConfigMap == "") == (s.Secret == "") {
			f.add(key, "must name a ConfigMap or a Secret", "accepted is one of config_map and secret", key+".config_map", key+".secret")
		}
	}
	for key, v := range map[string]*Volume{"archive_volume": c.ArchiveVolume, "storage": c.Storage} {
		if v == nil {
			continue
		}
		if (v.Claim == "") == (v.NFS == nil) {
			f.add(key, "must name a claim or an NFS share", "accepted is one of claim and nfs", key+".claim", key+".nfs")
		}
		if v.NFS != nil && (v.NFS.Server == "" || v.NFS.Path == "") {
			f.add(key+".nfs", "lacks server or path", "both are needed", key+".nfs.server", key+".nfs.path")
		}
	}
}

// checkAnnotations keeps to Kubernetes' bound for all annotations together.
func checkAnnotations(c *Config, f *faults) {
	size := 0
	for key, value := range c.Annotations {
		size += len(key) + len(value)
	}
	if size > maxAnnotations {
		f.add("annotations", fmt.Sprintf("have %d bytes", size), fmt.Sprintf("Kubernetes accepts %d", maxAnnotations))
	}
}

// checkAutorebuild finds namespaces that are watched already.
func checkAutorebuild(c *Config, f *faults) {
	at := place{key: "autorebuild.watch_namespaces"}
	for i, ns := range c.Autorebuild.WatchNamespaces {
		switch {
		case slices.Contains(c.Autorebuild.WatchNamespaces[:i], ns):
			f.add(at.element(i).key, fmt.Sprintf("%.60q is there twice", ns), "")
		case ns != "" && ns == c.Namespace:
			f.add(at.element(i).key, fmt.Sprintf("%.60q is the pipeline's own namespace, which is watched anyway", ns), "")
		}
	}
	checkResources(f, "autorebuild.resources", c.Autorebuild.Resources)
}

// sorted are the names of stages that have settings, in the order of the alphabet.
func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
