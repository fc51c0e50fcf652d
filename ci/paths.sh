# shellcheck shell=bash
# Where the project keeps what is installed once for many clones. Sourced by the other scripts.

# Prints the data folder. A cluster started by root runs as another user, to whom root's home is
# closed; so root's data folder is outside of it.
data_folder() {
    if [[ -n ${XDG_DATA_HOME:-} ]]; then
        printf '%s\n' "$XDG_DATA_HOME/codebase-mcp"
    elif [[ $(id -u) == 0 ]]; then
        printf '%s\n' /var/lib/codebase-mcp
    else
        printf '%s\n' "$HOME/.local/share/codebase-mcp"
    fi
}

# Prints the cache folder.
cache_folder() {
    printf '%s\n' "${XDG_CACHE_HOME:-$HOME/.cache}/codebase-mcp"
}

# Prints the virtual environment made from the requirements file $1. Its name holds the file's hash,
# so that a changed pin makes another environment beside the one that older clones use.
venv_folder() {
    local hash name
    hash=$(sha256sum "$1")
    name=$(basename "$1" .txt)
    printf '%s\n' "$(cache_folder)/$name-${hash:0:16}"
}

# Prints the folder into which ci/tools installs.
tools_folder() {
    printf '%s\n' "$(cache_folder)/tools"
}
