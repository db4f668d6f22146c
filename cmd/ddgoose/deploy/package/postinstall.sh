#!/bin/sh
# Makes the agent's user. A running agent is restarted by an upgrade; nothing else is started.
set -e
if command -v systemd-sysusers >/dev/null; then
	systemd-sysusers ddgoose.conf
fi
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	systemctl try-restart ddgoose.service
fi
