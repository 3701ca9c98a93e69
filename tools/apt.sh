# Sourced.  apt-get on a sources list, lists and caches of our own, in build/:
# other suites are read without the machine's own apt seeing them.
#
#     private_apt_init NAME LINE...   "deb SUITE COMPONENTS", "deb-src ..."
#     private_apt ARGS...             apt-get on these

mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg


private_apt_init() {
    apt_dir=$PWD/build/apt/$1
    shift

    mkdir -p "$apt_dir/lists/partial" "$apt_dir/archives/partial"

    for line; do
        set -- $line
        type=$1
        shift
        echo "$type [signed-by=$keyring] $mirror $*"
    done > "$apt_dir/sources.list"
}


# A mirror that is frozen at some day serves too: what it has is signed.

private_apt() {
    apt-get -q -o Dir::Etc::sourcelist="$apt_dir/sources.list" \
        -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::State::Lists="$apt_dir/lists" \
        -o Dir::Cache::archives="$apt_dir/archives" \
        -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= \
        -o Acquire::Check-Valid-Until=false -o APT::Sandbox::User= \
        -o Acquire::Languages=none \
        -o Debug::NoLocking=1 \
        "$@"
}
