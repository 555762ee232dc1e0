#!/bin/sh
# Sets up what the demo and the tests need beyond Go: PostgreSQL's server
# programs and an OpenSSH server. Nothing is started, nothing is configured.
# Run it again as often as you like; what is there already is left alone.
set -eu

say() { printf 'setup: %s\n' "$*" >&2; }

# PostgreSQL's server programs are usually not on the PATH.
have_postgres() {
	if [ -n "${LONGITUDE_POSTGRES_BIN:-}" ]; then
		[ -x "$LONGITUDE_POSTGRES_BIN/initdb" ] && return 0
	fi
	command -v initdb >/dev/null 2>&1 && command -v postgres >/dev/null 2>&1 && return 0
	for dir in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /usr/libexec/postgresql* \
		/opt/homebrew/opt/postgresql*/bin /usr/local/opt/postgresql*/bin \
		/home/linuxbrew/.linuxbrew/opt/postgresql*/bin \
		/Applications/Postgres.app/Contents/Versions/*/bin; do
		if [ -x "$dir/initdb" ]; then return 0; fi
	done
	return 1
}

have_sshd() {
	command -v sshd >/dev/null 2>&1 || [ -x /usr/sbin/sshd ] || [ -x /usr/local/sbin/sshd ]
}

# as_root runs a command with the rights to install packages.
as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif command -v sudo >/dev/null 2>&1; then
		sudo "$@"
	else
		say "not root and no sudo: run this as root: $*"
		exit 3
	fi
}

apt() {
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" >/dev/null 2>&1 && return 0
	say "refreshing the package lists"
	as_root apt-get update -q >/dev/null
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" >/dev/null
}

# Only the programs are wanted. Debian would also create and start a cluster.
get_postgres() {
	if command -v apt-get >/dev/null 2>&1; then
		if ! command -v pg_createcluster >/dev/null 2>&1; then
			apt postgresql-common
			as_root sed -i 's/^#*create_main_cluster.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf
		fi
		apt postgresql
	elif command -v dnf >/dev/null 2>&1; then
		as_root dnf install -y -q postgresql-server
	elif command -v apk >/dev/null 2>&1; then
		as_root apk add -q postgresql
	elif command -v brew >/dev/null 2>&1; then
		brew install -q postgresql@17
	else
		no_package_manager
	fi
}

# Only the program is wanted. Debian would also open port 22 to the network.
get_sshd() {
	if command -v apt-get >/dev/null 2>&1; then
		apt openssh-server openssh-sftp-server
		if [ -d /run/systemd/system ]; then
			as_root systemctl disable -q --now ssh.service ssh.socket 2>/dev/null || true
		fi
	elif command -v dnf >/dev/null 2>&1; then
		as_root dnf install -y -q openssh-server
	elif command -v apk >/dev/null 2>&1; then
		as_root apk add -q openssh-server openssh-sftp-server
	elif command -v brew >/dev/null 2>&1; then
		brew install -q openssh
	else
		no_package_manager
	fi
}

no_package_manager() {
	say "no apt-get, dnf, apk or brew here: install PostgreSQL and an OpenSSH server yourself"
	exit 3
}

if ! have_postgres; then
	say "installing PostgreSQL"
	get_postgres
	have_postgres || { say "PostgreSQL was installed, but initdb is not where we look; set LONGITUDE_POSTGRES_BIN"; exit 3; }
fi
if ! have_sshd; then
	say "installing an OpenSSH server"
	get_sshd
	have_sshd || { say "an OpenSSH server was installed, but sshd is not where we look"; exit 3; }
fi
# Where the system has not started sshd yet, its privilege separation folder is missing.
if [ "$(id -u)" -eq 0 ] && [ "$(uname -s)" = Linux ] && [ ! -d /run/sshd ]; then
	mkdir -p -m 0755 /run/sshd
fi
