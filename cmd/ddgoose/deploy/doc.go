// Package deploy holds the files that run agents as services. Its tests keep the
// files in step with the binary, and try them with the real programs where these
// are installed.
//
//	ddgoose.service, .sysusers, .yaml   a systemd unit, its user, and settings to begin with
//	haproxy.cfg                         a load balancer that follows the goose
//	alerts.yaml, dashboard.json         Prometheus alert rules, and a Grafana dashboard
//	Dockerfile, compose.yaml            an image of the binary alone; five agents of it
//	kubernetes.yaml                     a StatefulSet, with what it needs
//	kustomization.yaml                  a base of it for kubectl apply -k
package deploy
