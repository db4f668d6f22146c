#!/bin/sh
# The data in /var/lib/ddgoose stays, and so do the settings: the disk is who an agent is.
set -e
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi
