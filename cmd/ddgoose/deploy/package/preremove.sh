#!/bin/sh
# Stops the agent before it is removed, which Debian says by "remove" and RPM by 0; not before an upgrade.
set -e
case "${1:-}" in
remove | 0)
	if [ -d /run/systemd/system ]; then
		systemctl disable --now ddgoose.service
	fi
	;;
esac
