// Command kubernetes builds a kustomize base, and does with each object of it what a Kubernetes API server does before it
// saves one, by the server's own code: strict decoding, defaults and validation. It also checks pods by the strictest
// pod security. A warning of the server is an error here.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage/names"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/api/service"
	_ "k8s.io/kubernetes/pkg/apis/apps/install"
	"k8s.io/kubernetes/pkg/apis/core"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	"k8s.io/kubernetes/pkg/apis/core/validation"
	_ "k8s.io/kubernetes/pkg/apis/policy/install"
	"k8s.io/kubernetes/pkg/registry/apps/statefulset"
	"k8s.io/kubernetes/pkg/registry/policy/poddisruptionbudget"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

const namespace = "default"

// strategies says how the server takes each kind.
var strategies = map[string]rest.RESTCreateStrategy{
	"Service":             services{rest.DeclarativeValidation{Scheme: legacyscheme.Scheme}, names.SimpleNameGenerator},
	"StatefulSet":         statefulset.Strategy,
	"PodDisruptionBudget": poddisruptionbudget.Strategy,
}

func main() {
	if err := read(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func read(dir string) error {
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		return err
	}
	for _, r := range built.Resources() {
		text, err := r.AsYAML()
		if err == nil {
			err = take(r.GetKind(), text)
		}
		if err != nil {
			return fmt.Errorf("%s %s: %w", r.GetKind(), r.GetName(), err)
		}
		fmt.Printf("%s/%s\n", r.GetKind(), r.GetName())
	}
	return nil
}

// take does what the server does when an object is created.
func take(kind string, text []byte) error {
	scheme, strategy := legacyscheme.Scheme, strategies[kind]
	if strategy == nil {
		return errors.New("no strategy for this kind")
	}
	strict := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, json.SerializerOptions{Yaml: true, Strict: true})
	obj, gvk, err := strict.Decode(text, nil, nil)
	if err != nil {
		return err
	}
	scheme.Default(obj)
	if set, ok := obj.(*appsv1.StatefulSet); ok {
		if err := secure(set); err != nil {
			return err
		}
	}
	obj, err = scheme.UnsafeConvertToVersion(obj, schema.GroupVersion{Group: gvk.Group, Version: runtime.APIVersionInternal})
	if err != nil {
		return err
	}
	about, err := meta.Accessor(obj)
	if err != nil {
		return err
	}
	about.SetNamespace(namespace)
	rest.FillObjectMetaSystemFields(about)
	var warned warnings
	ctx := warning.WithWarningRecorder(request.WithNamespace(context.Background(), namespace), &warned)
	ctx = request.WithRequestInfo(ctx, &request.RequestInfo{APIGroup: gvk.Group, APIVersion: gvk.Version})
	return errors.Join(rest.BeforeCreate(strategy, ctx, obj), errors.Join(warned...))
}

// warnings are what the server answers besides.
type warnings []error

func (w *warnings) AddWarning(_, text string) { *w = append(*w, errors.New("warning: "+text)) }

// secure checks pods as namespaces with the level "restricted" do.
func secure(set *appsv1.StatefulSet) error {
	checks, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		return err
	}
	restricted := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	pod := &set.Spec.Template
	if result := policy.AggregateCheckResults(checks.EvaluatePod(restricted, &pod.ObjectMeta, &pod.Spec)); !result.Allowed {
		return fmt.Errorf("pod security: %s", result.ForbiddenDetail())
	}
	return nil
}

// services is the server's strategy for services. The server's own comes with the allocation of addresses.
type services struct {
	rest.DeclarativeValidation
	names.NameGenerator
}

func (services) NamespaceScoped() bool { return true }

func (services) PrepareForCreate(_ context.Context, obj runtime.Object) {
	if s := obj.(*core.Service); s.Spec.ClusterIP != "" {
		s.Spec.ClusterIPs = []string{s.Spec.ClusterIP}
	}
}

func (services) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	return validation.ValidateServiceCreate(obj.(*core.Service))
}

func (services) WarningsOnCreate(_ context.Context, obj runtime.Object) []string {
	return service.GetWarningsForService(obj.(*core.Service), nil)
}

func (services) Canonicalize(runtime.Object) {}
