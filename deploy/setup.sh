#!/bin/sh
# Sets up what Longitude's demo and tests need beyond Go. Nothing is started,
# nothing is configured, and what is there already is left alone.
#
#   setup.sh                   everything
#   setup.sh postgres sshd     PostgreSQL's server programs, an OpenSSH server: the demo
#   setup.sh cc                a C compiler: the tests' race detector
#   setup.sh readers           Python with venv, jq, openssl: the tests that read releases with
#                              other people's programs; not part of everything
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

# apt installs packages, with fresh lists if the present ones do not do. What it
# has to say is shown only when it fails.
apt() {
	if apt_install "$@" >/dev/null 2>&1; then return; fi
	say "refreshing the package lists"
	output=$(as_root apt-get update -q 2>&1 && apt_install "$@" 2>&1) || {
		printf '%s\n' "$output" >&2
		exit 3
	}
}

apt_install() {
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"
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

get_cc() {
	if command -v apt-get >/dev/null 2>&1; then
		apt gcc libc6-dev
	elif command -v dnf >/dev/null 2>&1; then
		as_root dnf install -y -q gcc glibc-devel
	elif command -v apk >/dev/null 2>&1; then
		as_root apk add -q gcc musl-dev
	else
		say "no C compiler: install one (macOS: xcode-select --install)"
		exit 3
	fi
}

get_readers() {
	if command -v apt-get >/dev/null 2>&1; then
		apt python3-venv jq openssl
	elif command -v dnf >/dev/null 2>&1; then
		as_root dnf install -y -q python3 jq openssl
	elif command -v apk >/dev/null 2>&1; then
		as_root apk add -q python3 py3-pip jq openssl
	elif command -v brew >/dev/null 2>&1; then
		brew install -q python3 jq openssl
	else
		no_package_manager
	fi
}

no_package_manager() {
	say "no apt-get, dnf, apk or brew here: install PostgreSQL and an OpenSSH server yourself"
	exit 3
}

need_postgres() {
	if have_postgres; then return; fi
	say "installing PostgreSQL"
	get_postgres
	have_postgres || { say "PostgreSQL was installed, but initdb is not where we look: set LONGITUDE_POSTGRES_BIN"; exit 3; }
}

need_sshd() {
	if ! have_sshd; then
		say "installing an OpenSSH server"
		get_sshd
		have_sshd || { say "an OpenSSH server was installed, but sshd is not where we look"; exit 3; }
	fi
	# Where no system has started sshd, its privilege separation folder is missing.
	if [ "$(id -u)" -eq 0 ] && [ "$(uname -s)" = Linux ] && [ ! -d /run/sshd ]; then
		mkdir -p -m 0755 /run/sshd
	fi
}

need_cc() {
	if command -v "${CC:-cc}" >/dev/null 2>&1 || command -v gcc >/dev/null 2>&1; then return; fi
	say "installing a C compiler"
	get_cc
}

need_readers() {
	if command -v jq >/dev/null 2>&1 && command -v openssl >/dev/null 2>&1 && python3 -c 'import ensurepip, venv' >/dev/null 2>&1; then return; fi
	say "installing Python, jq and openssl"
	get_readers
}

[ $# -gt 0 ] || set -- postgres sshd cc
for need in "$@"; do
	case $need in
	postgres | sshd | cc | readers) "need_$need" ;;
	*)
		say "unknown: $need (postgres, sshd, cc or readers)"
		exit 2
		;;
	esac
done
