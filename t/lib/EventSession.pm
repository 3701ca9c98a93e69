package EventSession;

# What a test starts from: a private folder, Redis servers and nginx with the
# module in it, all ended and removed when the test ends, however it ends.
#
#     use lib 't/lib';
#     use EventSession;
#     use Test::More;
#
#     my $t     = EventSession->new;
#     my $redis = $t->redis(appendonly => 'yes');
#     my $nginx = $t->nginx(redis => $redis, workers => 2);
#
#     my $sid = uuid();
#     my $ws  = $nginx->ws("/ws?sessionId=$sid&ack=1");
#
#     $ws->text('[{"type":"EVENT","timestamp":1,"name":"a"}]');
#     is($ws->message, '{"ack":1,"events":1}', 'acknowledged');
#
#     is($nginx->get("/session/$sid")->status, 200, 'and there');
#
#     $nginx->quit;
#     ok_log($nginx);
#     done_testing();
#
# EventSession::Redis, ::Nginx, ::WS and ::HTTP say what each can do.
#
# What make says through the environment; without it, plain `prove` works on
# what `make build` left:
#
#     EVS_NGINX, EVS_MODULE   the binary and the module
#     EVS_SANITIZE, EVS_VALGRIND, EVS_ECHO   how they were built, are run
#     EVS_KEEP=1              keeps the private folder and names it

use strict;
use warnings;

use Exporter 'import';
use Carp;
use Cwd ();
use File::Basename ();
use File::Path ();
use File::Temp ();
use Test::More ();
use Time::HiRes ();

use EventSession::HTTP;
use EventSession::Nginx;
use EventSession::Process;
use EventSession::Redis;
use EventSession::WS;

our @EXPORT = qw(uuid wait_for slow ok_log seed_messages);


our $root = Cwd::abs_path(File::Basename::dirname(__FILE__) . '/../..');

my @folders;


sub new {
    my ($class) = @_;

    my $dir = File::Temp::mkdtemp(($ENV{TMPDIR} || '/tmp') . '/evs-XXXXXX');

    push(@folders, $dir);

    return bless { dir => $dir, count => 0 }, $class;
}


sub dir { $_[0]{dir} }


# a folder of its own for each server: name-1, name-2 ...

sub folder {
    my ($self, $name) = @_;

    my $dir = "$self->{dir}/$name-" . ++$self->{count};

    mkdir($dir) or croak "mkdir $dir: $!";

    return $dir;
}


# The options are EventSession::Redis'.

sub redis {
    my ($self, %options) = @_;

    return EventSession::Redis->start($self->folder('redis'), %options);
}


# The options are EventSession::Nginx'; without redis => ... one is started.

sub nginx {
    my ($self, %options) = @_;

    return $self->nginx_unstarted(%options)->start;
}


sub nginx_unstarted {
    my ($self, %options) = @_;

    $options{redis} //= $self->redis if !exists $options{redis};

    return EventSession::Nginx->new($self->folder('nginx'), %options);
}


# A new session id in canonical form.

sub uuid {
    open(my $file, '<', '/proc/sys/kernel/random/uuid') or croak $!;
    chomp(my $uuid = <$file>);

    return $uuid;
}


# Runs the code until it returns something true, at most $seconds (times
# slow()); returns what it returned last.

sub wait_for (&;$) {
    my ($code, $seconds) = @_;

    my $end = Time::HiRes::time() + ($seconds // 10) * slow();

    while (1) {
        my $got = $code->();

        return $got if $got || Time::HiRes::time() > $end;

        Time::HiRes::sleep(0.02);
    }
}


# How many times slower than usual everything may be.

sub slow { $ENV{EVS_VALGRIND} ? 20 : $ENV{EVS_SANITIZE} ? 4 : 1 }


# The test that nothing went wrong inside nginx, whatever clients saw: see
# EventSession::Nginx->bad_log.  Lines that match @except are expected.

sub ok_log {
    my ($nginx, @except) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my @bad = $nginx->bad_log(@except);

    Test::More::is(scalar(@bad), 0, 'nothing bad in the error log')
        or Test::More::diag(join("\n", @bad[0 .. ($#bad > 40 ? 40 : $#bad)]));
}


# The assignment's example, which has its commas before "}": three messages.

sub seed_messages {
    my ($sid) = @_;

    return (
        '[{"timestamp":1569972082,"type":"SESSION_START",'
        . qq("session_id":"$sid",}]),
        '[{"timestamp":1569972083,"type":"EVENT","name":"cart_loaded",}]',
        '[{"timestamp":1569972090,"type":"SESSION_END",'
        . qq("session_id":"$sid",}]),
    );
}


# Ends everything.  Reports that are made at an end, leaks above all, come too
# late for ok_log(): they are shown here, and how many lines is returned.

sub clean {
    EventSession::Process->end_all;

    my @reports;

    for my $dir (splice(@folders)) {
        push(@reports, map { EventSession::Nginx::reports($_) }
            glob("$dir/*/"));

        if ($ENV{EVS_KEEP}) {
            print STDERR "# kept: $dir\n";
        } else {
            File::Path::remove_tree($dir, { safe => 0 });
        }
    }

    splice(@reports, 100) if @reports > 100;
    print STDERR map { "# $_\n" } @reports;

    return scalar(@reports);
}


# the exit code is the test's own, not that of a waitpid() here

my $owner = $$;

END {
    if ($$ == $owner) {
        my $status = $?;
        my $bad    = clean();

        $? = $status || ($bad ? 1 : 0);
    }
}

for my $name (qw(INT TERM HUP)) {
    $SIG{$name} = sub { exit(1) };
}

$SIG{PIPE} = 'IGNORE';


1;
