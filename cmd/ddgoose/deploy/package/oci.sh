#!/bin/sh
# Writes an image archive (OCI) of DIR/linux-ARCH/ddgoose for every ARCH: the image of the Dockerfile, without Docker.
# Usage: oci.sh OUT.tar DIR VERSION ARCH...    Environment: TAR (GNU tar with its flags), SOURCE_DATE_EPOCH
set -eu
out=$1 dir=$2 version=$3
shift 3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/oci/blobs/sha256"
created=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)

# blob puts a file where the archive has it, and prints what the others call it.
blob() {
	digest=$(sha256sum "$2" | cut -d ' ' -f 1)
	printf '"mediaType":"application/vnd.oci.image.%s","digest":"sha256:%s","size":%d' "$1" "$digest" "$(wc -c <"$2")"
	mv "$2" "$work/oci/blobs/sha256/$digest"
}

# file gives where the archive has what blob described.
file() {
	echo "$1" | sed 's,.*sha256:\([0-9a-f]*\)".*,blobs/sha256/\1,'
}

manifests= docker=
for arch; do
	root=$work/$arch
	mkdir -p "$root/usr/bin" "$root/var/lib/ddgoose" "$root/run/ddgoose" "$root/etc/ddgoose"
	cp "$dir/linux-$arch/ddgoose" "$root/usr/bin"
	$TAR -C "$root" -cf "$work/layer" usr
	$TAR -C "$root" --owner=65532 --group=65532 -rf "$work/layer" var/lib/ddgoose run/ddgoose etc/ddgoose
	diff=$(sha256sum "$work/layer" | cut -d ' ' -f 1)
	gzip -n -9 "$work/layer"
	layer=$(blob layer.v1.tar+gzip "$work/layer.gz")
	cat >"$work/config" <<-END
		{"created":"$created","os":"linux","architecture":"$arch","config":{"User":"65532:65532",
		"Env":["DDGOOSE_DATA_DIR=/var/lib/ddgoose","DDGOOSE_SOCKET=/run/ddgoose/ddgoose.sock"],
		"Entrypoint":["/usr/bin/ddgoose"],"Cmd":["agent"],"Volumes":{"/var/lib/ddgoose":{}},
		"ExposedPorts":{"3825/udp":{},"3825/tcp":{},"3826/tcp":{}},
		"Healthcheck":{"Test":["CMD","/usr/bin/ddgoose","probe","healthz","--timeout","2s"],
		"Interval":5000000000,"Timeout":3000000000,"StartPeriod":5000000000,"Retries":3}},
		"rootfs":{"type":"layers","diff_ids":["sha256:$diff"]},"history":[{"created":"$created","created_by":"make dist"}]}
	END
	config=$(blob config.v1+json "$work/config")
	printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{%s},"layers":[{%s}]}' \
		"$config" "$layer" >"$work/manifest"
	docker="$docker${docker:+,}{\"Config\":\"$(file "$config")\",\"RepoTags\":[\"ddgoose:$version-$arch\"],\"Layers\":[\"$(file "$layer")\"]}"
	manifests="$manifests${manifests:+,}{$(blob manifest.v1+json "$work/manifest"),\"platform\":{\"os\":\"linux\",\"architecture\":\"$arch\"}}"
done
printf '[%s]' "$docker" >"$work/oci/manifest.json" # for Docker without containerd's image store
index='{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[%s]}'
printf "$index" "$manifests" >"$work/index"
annotations="\"annotations\":{\"io.containerd.image.name\":\"docker.io/library/ddgoose:$version\",\"org.opencontainers.image.ref.name\":\"ddgoose:$version\"}"
printf "$index" "{$(blob index.v1+json "$work/index"),$annotations}" >"$work/oci/index.json"
printf '{"imageLayoutVersion":"1.0.0"}' >"$work/oci/oci-layout"
$TAR -C "$work/oci" -cf "$out" oci-layout index.json manifest.json blobs
