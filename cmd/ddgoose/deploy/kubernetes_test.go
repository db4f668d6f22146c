package deploy

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// What the manifest has of Kubernetes's types: a field that is not here fails
// the test, and so a misspelt one does.
type (
	object struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string
		Metadata   metadata
		Spec       yaml.Node
	}
	metadata struct {
		Name        string
		Labels      map[string]string
		Annotations map[string]string
	}
	selector struct {
		MatchLabels map[string]string `yaml:"matchLabels"`
	}
	service struct {
		ClusterIP                string `yaml:"clusterIP"`
		PublishNotReadyAddresses bool   `yaml:"publishNotReadyAddresses"`
		Selector                 map[string]string
		Ports                    []struct {
			Name, Protocol string
			Port           int
			TargetPort     string `yaml:"targetPort"`
		}
	}
	disruptionBudget struct {
		MaxUnavailable int `yaml:"maxUnavailable"`
		Selector       selector
	}
	statefulSet struct {
		ServiceName          string `yaml:"serviceName"`
		Replicas             int
		PodManagementPolicy  string            `yaml:"podManagementPolicy"`
		UpdateStrategy       map[string]string `yaml:"updateStrategy"`
		MinReadySeconds      int               `yaml:"minReadySeconds"`
		Selector             selector
		Template             template
		VolumeClaimTemplates []struct {
			Metadata metadata
			Spec     struct {
				AccessModes []string `yaml:"accessModes"`
				Resources   resources
			}
		} `yaml:"volumeClaimTemplates"`
	}
	template struct {
		Metadata metadata
		Spec     struct {
			TerminationGracePeriodSeconds int  `yaml:"terminationGracePeriodSeconds"`
			AutomountServiceAccountToken  bool `yaml:"automountServiceAccountToken"`
			EnableServiceLinks            bool `yaml:"enableServiceLinks"`
			SecurityContext               struct {
				RunAsNonRoot   bool              `yaml:"runAsNonRoot"`
				RunAsUser      int               `yaml:"runAsUser"`
				RunAsGroup     int               `yaml:"runAsGroup"`
				FSGroup        int               `yaml:"fsGroup"`
				SeccompProfile map[string]string `yaml:"seccompProfile"`
			} `yaml:"securityContext"`
			TopologySpreadConstraints []struct {
				MaxSkew           int      `yaml:"maxSkew"`
				TopologyKey       string   `yaml:"topologyKey"`
				WhenUnsatisfiable string   `yaml:"whenUnsatisfiable"`
				LabelSelector     selector `yaml:"labelSelector"`
			} `yaml:"topologySpreadConstraints"`
			Containers []container
			Volumes    []struct {
				Name     string
				EmptyDir *struct {
					Medium    string
					SizeLimit string `yaml:"sizeLimit"`
				} `yaml:"emptyDir"`
				Secret *struct {
					SecretName  string `yaml:"secretName"`
					DefaultMode int    `yaml:"defaultMode"`
				}
			}
		}
	}
	container struct {
		Name, Image string
		Args        []string
		Env         []struct {
			Name      string
			ValueFrom struct {
				FieldRef struct {
					FieldPath string `yaml:"fieldPath"`
				} `yaml:"fieldRef"`
			} `yaml:"valueFrom"`
		}
		Ports []struct {
			Name, Protocol string
			ContainerPort  int `yaml:"containerPort"`
		}
		ReadinessProbe  httpProbe `yaml:"readinessProbe"`
		LivenessProbe   httpProbe `yaml:"livenessProbe"`
		Resources       resources
		SecurityContext struct {
			AllowPrivilegeEscalation bool `yaml:"allowPrivilegeEscalation"`
			ReadOnlyRootFilesystem   bool `yaml:"readOnlyRootFilesystem"`
			Capabilities             map[string][]string
		} `yaml:"securityContext"`
		VolumeMounts []struct {
			Name      string
			MountPath string `yaml:"mountPath"`
			ReadOnly  bool   `yaml:"readOnly"`
		} `yaml:"volumeMounts"`
	}
	httpProbe struct {
		HTTPGet struct {
			Path, Port string
		} `yaml:"httpGet"`
		InitialDelaySeconds int `yaml:"initialDelaySeconds"`
		PeriodSeconds       int `yaml:"periodSeconds"`
		TimeoutSeconds      int `yaml:"timeoutSeconds"`
		FailureThreshold    int `yaml:"failureThreshold"`
	}
	resources struct{ Requests, Limits map[string]string }
)

// strictly decodes YAML, and refuses fields that v has not.
func strictly(t *testing.T, n *yaml.Node, v any) {
	t.Helper()
	text, err := yaml.Marshal(n)
	require.NoError(t, err)
	d := yaml.NewDecoder(strings.NewReader(string(text)))
	d.KnownFields(true)
	require.NoError(t, d.Decode(v))
}

// manifest reads kubernetes.yaml: objects by "Kind/name".
func manifest(t *testing.T) map[string]object {
	t.Helper()
	all := map[string]object{}
	d := yaml.NewDecoder(strings.NewReader(read(t, "kubernetes.yaml")))
	d.KnownFields(true)
	for {
		var o object
		err := d.Decode(&o)
		if errors.Is(err, io.EOF) {
			return all
		}
		require.NoError(t, err)
		all[o.Kind+"/"+o.Metadata.Name] = o
	}
}

func TestKubernetesObjectsFitTogether(t *testing.T) {
	objects := manifest(t)
	require.Len(t, objects, 4)
	var set statefulSet
	var found, open service
	var budget disruptionBudget
	for name, v := range map[string]any{
		"StatefulSet/ddgoose": &set, "Service/ddgoose": &found, "Service/ddgoose-http": &open, "PodDisruptionBudget/ddgoose": &budget,
	} {
		o, ok := objects[name]
		require.True(t, ok, name)
		require.Equal(t, map[string]string{
			"StatefulSet": "apps/v1", "Service": "v1", "PodDisruptionBudget": "policy/v1",
		}[o.Kind], o.APIVersion)
		strictly(t, &o.Spec, v)
	}
	pod := set.Template.Spec
	labels := set.Template.Metadata.Labels
	for what, s := range map[string]map[string]string{
		"set": set.Selector.MatchLabels, "found": found.Selector, "open": open.Selector, "budget": budget.Selector.MatchLabels,
		"spread": pod.TopologySpreadConstraints[0].LabelSelector.MatchLabels,
	} {
		require.NotEmpty(t, s, what)
		require.Equal(t, labels, s, what)
	}
	require.Equal(t, "None", found.ClusterIP)
	require.True(t, found.PublishNotReadyAddresses, "nobody is ready before all have met")
	require.Equal(t, "Parallel", set.PodManagementPolicy, "nobody is ready before all have met")
	require.Equal(t, "ddgoose", set.ServiceName)
	require.Equal(t, 1, budget.MaxUnavailable)
	require.False(t, pod.EnableServiceLinks)

	require.Len(t, pod.Containers, 1)
	c := pod.Containers[0]
	ports := map[string]int{}
	for _, p := range c.Ports {
		ports[p.Name] = p.ContainerPort
	}
	require.Equal(t, map[string]int{"flock-udp": flockPort, "flock-tcp": flockPort, "http": httpPort}, ports)
	for _, p := range slices.Concat(found.Ports, open.Ports) {
		require.Equal(t, ports[p.TargetPort], p.Port, p.Name)
	}
	require.Equal(t, "/readyz", c.ReadinessProbe.HTTPGet.Path)
	require.Equal(t, "/healthz", c.LivenessProbe.HTTPGet.Path)
	for _, p := range []httpProbe{c.ReadinessProbe, c.LivenessProbe} {
		require.Contains(t, ports, p.HTTPGet.Port)
		require.Contains(t, questions, p.HTTPGet.Path)
	}
	require.Equal(t, strconv.Itoa(httpPort), set.Template.Metadata.Annotations["prometheus.io/port"])

	volumes := map[string]bool{}
	for _, claim := range set.VolumeClaimTemplates {
		volumes[claim.Metadata.Name] = true
	}
	for _, v := range pod.Volumes {
		volumes[v.Name] = true
		if v.Secret != nil {
			require.Zero(t, v.Secret.DefaultMode&0o007, "a key that everybody may read is refused")
		}
	}
	mounted := map[string]string{}
	for _, m := range c.VolumeMounts {
		require.True(t, volumes[m.Name], m.Name)
		mounted[m.MountPath] = m.Name
	}
	require.Len(t, mounted, len(volumes))
	image := imageOf(t)
	require.Equal(t, "data", mounted[image.env["DDGOOSE_DATA_DIR"]])
	require.Equal(t, "run", mounted[path.Dir(image.env["DDGOOSE_SOCKET"])])
	require.Equal(t, "key", mounted[path.Dir(flagOf(c.Args, "key-file"))])
	require.Equal(t, image.user, pod.SecurityContext.RunAsUser)
	require.Equal(t, image.user, pod.SecurityContext.FSGroup, "or it may read neither its key nor its disk")
	require.True(t, c.SecurityContext.ReadOnlyRootFilesystem)
	require.Equal(t, []string{"ALL"}, c.SecurityContext.Capabilities["drop"])
}

// TestKubernetesTakesTheBase needs no cluster: a module of its own has the API server's validation, which is too large
// for ours.
func TestKubernetesTakesTheBase(t *testing.T) {
	extra(t)
	here, err := os.Getwd()
	require.NoError(t, err)
	build := func(args ...string) (string, error) {
		cmd := exec.Command("go", args...)
		cmd.Dir = "testdata/kubernetes"
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := build("list", "-deps", "."); err != nil { // downloads what the build needs
		t.Skipf("SKIPPED: Kubernetes's modules cannot be had: %v: %.300s", err, out)
	}
	server := filepath.Join(t.TempDir(), "server")
	out, err := build("build", "-o", server, ".")
	require.NoError(t, err, out)
	stdout, stderr, code := run(t, server, here)
	require.Zero(t, code, stderr)
	require.Len(t, strings.Fields(stdout), len(manifest(t)))

	right := read(t, "kubernetes.yaml")
	for _, fault := range []struct{ right, wrong, says string }{
		{"clusterIP:", "clusterIp:", `unknown field "spec.clusterIp"`},
		{"port: 3826", "port: 382600", "spec.ports[0].port: Invalid value"},
		{"maxUnavailable: 1", "maxUnavailable: -1", "spec.maxUnavailable: Invalid value"},
		{"name: run, mountPath", "name: runs, mountPath", `volumeMounts[1].name: Not found: "runs"`},
		{"ReadWriteOnce", "ReadWriteTwice", "spec.volumeClaimTemplates[0].spec.accessModes: Unsupported value"},
		{"name: http, containerPort: 3826", "name: http, containerPort: 3825", "warning: spec.template.spec.containers[0].ports[2]: duplicate port"},
		{"runAsNonRoot: true", "runAsNonRoot: false", "pod security: runAsNonRoot != true"},
	} {
		require.Contains(t, right, fault.right)
		wrong := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(wrong, "kustomization.yaml"), []byte(read(t, "kustomization.yaml")), 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(wrong, "kubernetes.yaml"), []byte(strings.Replace(right, fault.right, fault.wrong, 1)), 0o600))
		_, stderr, code = run(t, server, wrong)
		require.Equal(t, 1, code, fault.wrong)
		require.Contains(t, stderr, fault.says)
	}
}

func TestKubernetesAgentsHaveFlagsThatAreRight(t *testing.T) {
	var set statefulSet
	o := manifest(t)["StatefulSet/ddgoose"]
	strictly(t, &o.Spec, &set)
	c := set.Template.Spec.Containers[0]
	require.Equal(t, strconv.Itoa(set.Replicas), flagOf(c.Args, "expect"))
	require.Equal(t, set.ServiceName, flagOf(c.Args, "join"))
	require.Equal(t, "0.0.0.0:"+strconv.Itoa(flockPort), flagOf(c.Args, "bind"))
	require.Equal(t, "0.0.0.0:"+strconv.Itoa(httpPort), flagOf(c.Args, "http"))
	for _, env := range c.Env {
		value, ok := map[string]string{"metadata.name": "ddgoose-0", "status.podIP": "10.1.2.3"}[env.ValueFrom.FieldRef.FieldPath]
		require.True(t, ok, env.Name)
		t.Setenv(env.Name, value)
	}
	requireRight(t, c.Args)
	t.Setenv("DDGOOSE_ADVERTISE", "ddgoose-0:port") // and such an environment counts
	_, stderr, code := run(t, binary(t), append(slices.Clone(c.Args), "--voters", "4", "--key-file", "")...)
	require.Equal(t, 2, code)
	require.Contains(t, stderr, "ddgoose-0:port")
}
