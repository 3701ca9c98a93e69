package EventSession::Console;

# A terminal as documentation shows it: commands behind "$ ", and under each
# of them what it prints.
#
#     my $console = EventSession::Console->new($folder,
#         replace => { '127.0.0.1:8080' => "127.0.0.1:$port" },
#         redis   => $redis);                    # for redis-cli
#
#     for my $step (EventSession::Console::steps($text)) {
#         my $printed = $console->run($step->{command});
#
#         is(plain($printed), plain($step->{output}));
#         $console->bind($step->{output}, $printed);
#     }
#
#     my $process = $console->start($command);   # EventSession::Process
#     my $printed = $console->printed($process);
#
# plain() has a word in the place of each date, id and the like that differs
# from run to run.  bind() remembers which of those of the documentation is
# which of this run, so that a later command can use it.

use strict;
use warnings;

use EventSession::Process;
use EventSession::Redis;


my $now  = qr/20(?:2[5-9]|[3-9]\d)-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3,6}Z/;
my $uuid = qr/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/;

# what is made anew each time; the first group is what differs

my @generated = (
    [ time   => qr/($now)/ ],
    [ date   => qr/^Date: (.+)$/m ],
    [ server => qr{^Server: (nginx\S*)$}m ],
    [ logged => qr{\[(\d\d/[A-Z][a-z]{2}/\d{4}:[\d:]+ [+-]\d{4})\]} ],
    [ place  => qr/after=([0-9a-z._]+)/ ],
    [ record => qr/"id":"($uuid)"/ ],
    [ worker => qr/"id":(\d{9,16})\b/ ],
    [ event  => qr/"event_id":"([0-9a-f]{20})"/ ],
    [ feed   => qr/^id: (\d+-\d+\.\d+\.[0-9a-f]{8})$/m ],
    [ retry  => qr/^retry: (\d+)$/m ],
    [ cost   => qr/"cost":(\d+)/ ],
    [ days   => qr/"days":(\d+)/ ],
    [ line   => qr/nginx\.conf:(\d+)/ ],
);


sub new {
    my ($class, $dir, %options) = @_;

    my $self = bless { dir => $dir, count => 0, bound => {}, %options },
        $class;

    mkdir("$dir/bin");

    $self->tool('redis-cli', 'exec /usr/bin/redis-cli -s '
        . $self->{redis}->socket . ' "$@"') if $self->{redis};

    # curl says nothing about its progress, and goes by no proxy
    write_file("$dir/.curlrc", "silent\nnoproxy = \"*\"\n");

    return $self;
}


# A command of the terminal, in the shell's words.

sub tool {
    my ($self, $name, $script) = @_;

    my $path = "$self->{dir}/bin/$name";

    write_file($path, "#!/bin/bash\n$script\n");
    chmod(0755, $path);
}


# { command, output }; a command may have several lines, as bash sees it.

sub steps {
    my ($text) = @_;

    my (@steps, $open);

    for my $line (split(/\n/, $text, -1)) {
        if (!$open && $line =~ /^\$ (.*)/) {
            push(@steps, { command => $1, output => '' });
            $open = is_open($1);

        } elsif ($open) {
            $steps[-1]{command} .= "\n$line";
            $open = is_open($steps[-1]{command});

        } else {
            push(@steps, { command => '', output => '' }) if !@steps;
            $steps[-1]{output} .= "$line\n";
        }
    }

    return @steps;
}


sub is_open {
    my ($command) = @_;

    return 1 if $command =~ /\\\z/;
    return $command !~ /\n\Q$1\E\z/ if $command =~ /<< '(\w+)'/;

    return system('bash', '-c', 'bash -n 2> /dev/null <<< "$1"', 'sh',
        $command) != 0;
}


# What it writes to both of its streams.

sub run {
    my ($self, $command, $seconds) = @_;

    my $process = $self->start($command);

    $process->wait($seconds // 60);

    return $self->printed($process);
}


sub start {
    my ($self, $command) = @_;

    my $script = "$self->{dir}/command-" . ++$self->{count};

    unlink("$script.out");
    write_file($script, $self->translated($command) . "\n");

    my $process = EventSession::Process->spawn([ 'bash', $script ],
        output => "$script.out", dies => 'TERM',
        env => { HOME => $self->{dir}, CURL_HOME => $self->{dir},
                 PATH => "$self->{dir}/bin:$ENV{PATH}" });

    $process->{printed} = "$script.out";

    return $process;
}


sub printed {
    my ($self, $process) = @_;

    return EventSession::Redis::slurp($process->{printed});
}


sub translated {
    my ($self, $command) = @_;

    my %words = (%{ $self->{replace} // {} }, %{ $self->{bound} });

    for my $word (sort { length($b) <=> length($a) } keys(%words)) {
        $command =~ s/\Q$word\E/$words{$word}/g;
    }

    return $command;
}


# Lines end in "\n" alone, and blank ones at the end don't count.

sub plain {
    my ($text) = @_;

    $text =~ s/\r\n/\n/g;
    $text =~ s/\s+\z//;

    for my $class (@generated) {
        my ($name, $pattern) = @$class;

        $text =~ s{$pattern}{
            my ($all, $own) = ($&, $1);
            $all =~ s/\Q$own\E/<$name>/r;
        }ge;
    }

    return $text;
}


sub bind {
    my ($self, $shown, $printed) = @_;

    $printed =~ s/\r\n/\n/g;

    for my $class (@generated) {
        my ($name, $pattern) = @$class;

        my @shown   = $shown =~ /$pattern/g;
        my @printed = $printed =~ /$pattern/g;

        next if @shown != @printed || $name =~ /^(?:cost|days|line|retry)$/;

        @{ $self->{bound} }{@shown} = @printed;
    }
}


sub write_file {
    my ($path, $text) = @_;

    open(my $file, '>', $path) or die("$path: $!");
    print {$file} $text;
    close($file);
}


1;
