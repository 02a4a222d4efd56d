# SPDX-License-Identifier: MIT
# Completion of berth for fish.

# The words before the current one: the command and its arguments; the options are left out.
function __berth_operands
    set -l skip 0
    for word in (commandline -opc)[2..-1]
        if test $skip = 1
            set skip 0
            continue
        end
        switch $word
            case --workspace-root --workspace-id --data-dir --adapters --adapter-dir --require --config-root \
                --log-level --limit --host --ticket --role --name --segments --request --start --cursor --socket \
                --listen --token-file --tls-cert --tls-key --tls-client-ca --allow-host --allow-origin \
                --max-connections --request-timeout --log-format --connect --ca-file --timeout --interval \
                --options --check --junit --sanitizer --command
                set skip 1
            case '-*'
            case '*'
                echo -- $word
        end
    end
end

# Whether the command is one of these; with a number in front, and that many arguments follow it.
function __berth_at
    set -l operands (__berth_operands)
    set -l count (math (count $operands) - 1)
    if string match -qr '^[0-9]+$' -- $argv[1]
        test $count -eq $argv[1]
        or return 1
        set -e argv[1]
    end
    test $count -ge 0
    and contains -- $operands[1] $argv
end

function __berth_no_command
    test (count (__berth_operands)) -eq 0
end

# Asks berth with the set-up of the command line so far; silent where it cannot.
function __berth_ask
    set -l words (commandline -opc)
    set -l setup
    set -l i 2
    while test $i -le (count $words)
        switch $words[$i]
            case '--workspace-root=*' '--workspace-id=*' '--data-dir=*' '--adapters=*' '--adapter-dir=*' \
                '--config-root=*' '--connect=*' '--token-file=*' '--ca-file=*' '--tls-cert=*' '--tls-key=*'
                set -a setup $words[$i]
            case --workspace-root --workspace-id --data-dir --adapters --adapter-dir --config-root --connect \
                --token-file --ca-file --tls-cert --tls-key
                test $i -lt (count $words)
                and set -a setup $words[$i]=(string replace -r '^~/' "$HOME/" -- $words[(math $i + 1)])
                set i (math $i + 1)
        end
        set i (math $i + 1)
    end
    set -l program (string replace -r '^~/' "$HOME/" -- $words[1])
    # A service that does not answer must not hold up the command line.
    string match -q -- '--connect=*' $setup
    and set -a setup --timeout=2
    command $program $setup --json $argv </dev/null 2>/dev/null
end

function __berth_instances
    __berth_ask adapters | string match -ra '"name":"[a-z0-9_-]*","state":"[a-z]*"' |
        string match -v '*"masked"' | string replace -r '^"name":"([^"]*)".*' '$1'
end

# Names with those that stand before the last comma of the current word.
function __berth_instance_list
    set -l before (commandline -ct | string replace -r '^--adapters=' '' | string match -r '.*,')
    for name in (__berth_instances)
        echo -- $before$name
    end
end

function __berth_runtimes
    __berth_ask runtimes | string match -ra '"runtime_id":"[A-Za-z0-9_:-]*"' | string replace -r '.*:"(.*)"$' '$1'
end

function __berth_hosts
    __berth_ask hosts --limit 1000 | string match -ra '"host_id":"[A-Za-z0-9_:-]*"' |
        string replace -r '"host_id":"(.*)"$' '$1'
end

# Of the runtime that stands before.
function __berth_workers
    set -l operands (__berth_operands)
    set -l runtime (string escape --style=regex -- $operands[2])
    __berth_ask workers --limit 1000 |
        string match -ra "\"runtime_id\":\"$runtime\",\"worker_id\":\"[A-Za-z0-9_:-]*\"" |
        string replace -r '.*"worker_id":"(.*)"$' '$1'
end

function __berth_checks
    set -l words (commandline -opc)
    command $words[1] conformance --list 2>/dev/null | string replace -r ' .*' ''
end

complete -c berth -f
complete -c berth -n __berth_no_command -a runtimes -d 'list the runtimes'
complete -c berth -n __berth_no_command -a hosts -d 'list the hosts'
complete -c berth -n __berth_no_command -a workers -d 'list the workers'
complete -c berth -n __berth_no_command -a worker -d 'show one worker'
complete -c berth -n __berth_no_command -a spawn -d 'spawn a worker'
complete -c berth -n __berth_no_command -a stop -d 'stop a worker'
complete -c berth -n __berth_no_command -a input -d 'send input to a worker'
complete -c berth -n __berth_no_command -a transcript -d 'read the transcript of a worker'
complete -c berth -n __berth_no_command -a connect-points -d 'list where a worker can be reached'
complete -c berth -n __berth_no_command -a events -d 'read what has happened in a runtime'
complete -c berth -n __berth_no_command -a adapters -d 'list the adapters, and why one is not there'
complete -c berth -n __berth_no_command -a check -d 'report every problem of the configuration'
complete -c berth -n __berth_no_command -a config -d 'show the settings and their origins'
complete -c berth -n __berth_no_command -a batch -d 'answer JSON requests, one a line'
complete -c berth -n __berth_no_command -a serve -d 'answer requests over HTTP'
complete -c berth -n __berth_no_command -a watch -d 'show runtimes and workers whenever they change'
complete -c berth -n __berth_no_command -a conformance -d 'check an adapter against the contract'
complete -c berth -n __berth_no_command -a new-adapter -d 'make a project with an adapter to begin with'

complete -c berth -n '__berth_at 0 worker spawn stop input transcript connect-points events' -a '(__berth_runtimes)'
complete -c berth -n '__berth_at 1 worker stop input transcript connect-points' -a '(__berth_workers)'
complete -c berth -n '__berth_at 0 adapters' -a inspect -d 'show what a plugin says of itself'
complete -c berth -n '__berth_at 0 adapters' -a retry -d 'start what a service has in quarantine'
complete -c berth -n '__berth_at 1 adapters; and not contains retry (commandline -opc)' -a '(__fish_complete_suffix .so)'
complete -c berth -n '__berth_at 1 adapters; and contains retry (commandline -opc)' -a '(__berth_instances)'
complete -c berth -n '__berth_at 0 conformance' -a '(__fish_complete_suffix .so)'

complete -c berth -n 'not __berth_at new-adapter' -l workspace-root -xa '(__fish_complete_directories)' -d 'root of the workspace'
complete -c berth -n 'not __berth_at conformance new-adapter' -l workspace-id -x -d 'identifier of the workspace'
complete -c berth -n 'not __berth_at new-adapter' -l data-dir -xa '(__fish_complete_directories)' -d 'where the records of local workers are'
complete -c berth -n 'not __berth_at conformance new-adapter' -l adapters -xa '(__berth_instance_list)' -d 'instances to load, in this order'
complete -c berth -n 'not __berth_at new-adapter' -l adapter-dir -xa '(__fish_complete_directories)' -d 'where plugins are'
complete -c berth -n 'not __berth_at conformance new-adapter' -l require -xa '(__berth_instances)' -d 'end with status 3 unless it serves'
complete -c berth -n 'not __berth_at conformance new-adapter' -l config-root -xa '(__fish_complete_directories)' -d 'take the configuration below it'
complete -c berth -n 'not __berth_at conformance new-adapter' -l connect -rF -d 'ask the service there'
complete -c berth -n 'not __berth_at conformance new-adapter' -l token-file -rF -d 'where the token for a service, or its tokens, are'
complete -c berth -n 'not __berth_at conformance new-adapter' -l ca-file -rF -d 'who signs the certificate of the service'
complete -c berth -n 'not __berth_at conformance new-adapter' -l tls-cert -rF -d 'the certificate that is shown'
complete -c berth -n 'not __berth_at conformance new-adapter' -l tls-key -rF -d 'its key'
complete -c berth -n 'not __berth_at conformance new-adapter' -l timeout -x -d 'how long the service may take to one answer'
complete -c berth -n 'not __berth_at conformance new-adapter' -l log-level -xa 'debug info warning error' -d 'how urgent a line of the log must be'
complete -c berth -n 'not __berth_at conformance new-adapter' -l json -d 'answer in JSON'
complete -c berth -n 'not __berth_at conformance new-adapter' -l version -d 'print the version'
complete -c berth -l help -d 'print a summary'
complete -c berth -n '__berth_at runtimes hosts workers transcript events watch' -l limit -x -d 'how many items at the most'
complete -c berth -n '__berth_at watch' -l interval -x -d 'how often it looks'
complete -c berth -n '__berth_at workers' -l host -xa '(__berth_hosts)' -d 'workers of this host alone'
complete -c berth -n '__berth_at spawn' -l companion -d 'a companion of the workspace'
complete -c berth -n '__berth_at spawn' -l orchestrator -d 'an orchestrator of the workspace'
complete -c berth -n '__berth_at spawn' -l ticket -x -d 'a worker for this ticket'
complete -c berth -n '__berth_at spawn' -l role -xa 'intake orchestrator coder reviewer' -d 'its role'
complete -c berth -n '__berth_at spawn' -l name -x -d 'the name that is asked for'
complete -c berth -n '__berth_at spawn' -l segments -x -d 'expected segments'
complete -c berth -n '__berth_at spawn' -l request -x -d 'the whole request'
complete -c berth -n '__berth_at stop' -l force -d 'at once instead of gracefully'
complete -c berth -n '__berth_at input' -l system -d 'as input of the system'
complete -c berth -n '__berth_at transcript' -l start -x -d 'index of the first item'
complete -c berth -n '__berth_at serve' -l socket -r -F -d 'the Unix socket'
complete -c berth -n '__berth_at serve' -l listen -x -d 'also listen on TCP'
complete -c berth -n '__berth_at serve' -l tls-client-ca -r -F -d 'who must have signed the certificates of clients'
complete -c berth -n '__berth_at serve' -l allow-host -x -d 'another name that Host may have'
complete -c berth -n '__berth_at serve' -l allow-origin -x -d 'an origin whose pages may ask'
complete -c berth -n '__berth_at serve' -l max-connections -x -d 'how many at once'
complete -c berth -n '__berth_at serve' -l request-timeout -x -d 'how long a request may take'
complete -c berth -n '__berth_at serve' -l log-format -xa 'text json' -d 'how the log is written'
complete -c berth -n '__berth_at events' -l cursor -x -d 'where to go on'
complete -c berth -n '__berth_at conformance' -l isolated -d 'check the plugin in a process of its own'
complete -c berth -n '__berth_at conformance' -l command -xa '(__fish_complete_command)' -d 'check this program'
complete -c berth -n '__berth_at conformance' -l options -x -d 'the options of the adapter, an object'
complete -c berth -n '__berth_at conformance' -l check -xa '(__berth_checks)' -d 'this check or profile alone'
complete -c berth -n '__berth_at conformance' -l junit -r -F -d 'write the results as JUnit XML as well'
complete -c berth -n '__berth_at conformance' -l sanitizer -xa 'address undefined thread' -d 'with which the adapter was built'
complete -c berth -n '__berth_at conformance' -l timeout -x -d 'seconds of one check'
complete -c berth -n '__berth_at conformance' -l list -d 'print the checks'
