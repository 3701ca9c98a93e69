package EventSession::Node;

# Scripts of t/node, run by node with the packages of its lock file.
#
#     plan(skip_all => $reason) if $reason = EventSession::Node->missing;
#
#     my @lines = EventSession::Node->run('session.js', @arguments);
#
#     my $node = EventSession::Node->start($t->folder('node'), 'feed.js', …);
#
#     $node->lines;                 # what it has printed so far
#     $node->output;                # and what it complained of
#     $node->stop;
#
# Each line that a script prints is JSON.  Options of node's own, and
# anything else in front of the script, may stand in a list: [ '--x' ].

use strict;
use warnings;

use Carp;
use Fcntl qw(LOCK_EX);
use JSON::PP ();

use EventSession::Process;
use EventSession::Redis;

my $folder = __FILE__ =~ s{lib/EventSession/Node\.pm$}{node}r;


# Why there is nothing to run, if so.  Never so in CI: there all has to run.

sub missing {
    return if $ENV{CI};

    return 'there is no node' if system('node --version > /dev/null 2>&1');
    return 'there is no npm'  if system('npm --version > /dev/null 2>&1');

    return;
}


# Fetches the packages, once; another test may be about to do the same.

sub install {
    open(my $lock, '>>', "$folder/package-lock.json") or croak "$folder: $!";
    flock($lock, LOCK_EX) or croak "flock: $!";

    return if (modified("$folder/node_modules/.package-lock.json") // 0)
        >= modified("$folder/package-lock.json");

    my $command = 'npm ci --ignore-scripts --no-audit --no-fund';
    my $output  = qx(cd '$folder' && $command 2>&1);

    croak "npm ci: $output" if $?;
}


sub modified { (stat($_[0]))[9] }


sub run {
    my ($class, @arguments) = @_;

    my @options = ref($arguments[0]) ? @{ shift(@arguments) } : ();
    my $script  = shift(@arguments);

    install();

    open(my $node, '-|', 'node', @options, "$folder/$script", @arguments)
        or croak "node: $!";

    my @lines = map { JSON::PP::decode_json($_) } <$node>;

    close($node);

    return @lines;
}


# In a folder of its own, which is all of its home.

sub start {
    my ($class, $dir, $script, @arguments) = @_;

    install();

    my $self = bless { output => "$dir/output" }, $class;

    $self->{process} = EventSession::Process->spawn(
        [ 'node', "$folder/$script", @arguments ], dies => 'TERM',
        output => $self->{output}, env => { HOME => $dir, TMPDIR => $dir });

    return $self;
}


sub output { EventSession::Redis::slurp($_[0]{output}) }


# Those that are whole.

sub lines {
    my ($self) = @_;

    return map { JSON::PP::decode_json($_) }
        $self->output =~ /^([\[\{].*)\n/mg;
}


sub stop { $_[0]{process}->end('TERM') }


1;
