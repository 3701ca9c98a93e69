# Why: whoever installs the module has README and nothing else, and a step that
# it forgets is one that everybody here has done long ago.  Known to fail by: a
# package or a tool that only developers have; a path that is another one on a
# Debian of one's own; a module that does not fit the nginx it is built for; a
# line that stands in the wrong block; sudo that asks; an old worker that goes
# on serving.
#
# Run by `make deploy-test`, as root.  What is done is read from README:
#
#     sh blocks          are run, as a user with sudo
#     console behind it  is what that printed
#     nginx blocks       go where the paragraph before them says: "at the top
#                        of `file`", "in a `server` block ... `file`", `file`

use strict;
use warnings;

use lib 't/lib';

use EventSession::Debian;
use EventSession::Readme;
use Test::More;

plan(skip_all => 'make deploy-test runs it') if !$ENV{EVS_DEBIANS};

my $readme  = EventSession::Readme->new;
my $debians = $ENV{EVS_DEBIANS};
my $base    = EventSession::Debian->new("$debians/base",
    $ENV{EVS_DEPLOY_LOG});

my $welcome = '<title>Welcome to nginx!</title>';

prepare();
from_source();
another_nginx();
debian_package();

done_testing();


# A Debian with an nginx.

sub prepare {
    $base->write('/etc/apt/apt.conf.d/deploy-test',
        qq(APT::Get::Assume-Yes "1";\n)
        . qq(Binary::apt::APT::Keep-Downloaded-Packages "1";\n));

    $base->write($_, EventSession::Redis::slurp($_))
        for qw(/etc/resolv.conf /etc/hosts);

    my ($status, $said) = $base->online(<<'END', 'root');
apt-get -q update
apt-get -q install --no-install-recommends sudo nginx
useradd -m -s /bin/bash ops
echo 'ops ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/ops
mkdir /home/ops/eventsession
END

    BAIL_OUT("a Debian with nginx: $said") if $status;

    system("tools/files | tar -c --null -T - | tar -x --no-same-owner"
        . " -C '$base->{root}/home/ops/eventsession'") == 0
        or BAIL_OUT('the files of the project');

    ($status, $said) = $base->online('chown -R ops: /home/ops /usr/src/nginx*',
        'root');

    BAIL_OUT($said) if $status;
}


sub from_source {
    my $debian = $base->copy("$debians/source");

    is(lines_of('From source'), 3, 'three lines of configuration');

    $debian->begin;
    follow($debian, 'From source');
    serves($debian, $welcome, 'the site of before');

    $debian->end;
}


# Somebody's own, that serves as they have built it.

sub another_nginx {
    my $debian = $base->copy("$debians/another");

    my ($status, $said) = $debian->online(<<'END', 'root');
apt-get -q purge nginx nginx-common
apt-get -q install gcc make libpcre2-dev zlib1g-dev curl \
    libprotocol-websocket-perl
END

    BAIL_OUT($said) if $status;

    ($status, $said) = $debian->ops(<<'END');
cd /usr/src/nginx-1.26.3
./configure --prefix=/usr/local/nginx --with-compat
make -j2
sudo make install
sudo /usr/local/nginx/sbin/nginx
END

    BAIL_OUT("an nginx that is built by hand: $said") if $status;

    serves($debian, $welcome, 'built by hand');

    my @blocks = blocks_of('Another nginx');
    my ($added) = grep { $blocks[$_]{text} =~ /--add-dynamic-module/ }
        0 .. $#blocks;

    is(lines_of('Another nginx'), 3, 'three lines here, too');

    follow_blocks($debian, splice(@blocks, 0, $added));
    follow_blocks($debian, (blocks_of('From source'))[-2, -1]);
    serves($debian, $welcome, 'the site of before');

    follow_blocks($debian, @blocks);

    ($status, $said) = $debian->ops(<<'END');
cd /usr/src/nginx-1.26.3/objs
sudo install -t /usr/local/nginx/modules ngx_http_eventsession_module.so
sudo /usr/local/nginx/sbin/nginx -t
END

    is($status, 0, 'that one fits, too') or diag($said);

    $debian->end;
}


sub debian_package {
    my $debian = $base->copy("$debians/package");

    $debian->begin;
    follow($debian, 'Debian package');
    serves($debian, $welcome, 'the site of before');

    $debian->end;
}


sub blocks_of {
    my ($section) = @_;

    return grep { $_->{section} eq $section } $readme->blocks;
}


# Of configuration, in a section.

sub lines_of {
    my ($section) = @_;

    return scalar(() = map { $_->{text} =~ /\n/g }
        grep { $_->{lang} eq 'nginx' } blocks_of($section));
}


sub follow {
    my ($debian, $section) = @_;

    my @blocks = blocks_of($section);

    ok(scalar(@blocks), "README has steps: $section");
    follow_blocks($debian, @blocks);
}


sub follow_blocks {
    my ($debian, @blocks) = @_;

    while (my $block = shift(@blocks)) {
        my $name = "README:$block->{line}";

        if ($block->{lang} eq 'nginx') {
            configure($debian, $block, $name);
            next;
        }

        die("$name: what is to be done?") if $block->{lang} ne 'sh';

        my ($status, $out) = step($debian, $block->{text});

        is($status, 0, "$name: done") or diag($block->{text}, end_of($out));

        if (@blocks && $blocks[0]{lang} eq 'console') {
            # an answer of JSON has no newline behind it

            is($out =~ s/\n*$/\n/r, shift(@blocks)->{text},
                'and answers as shown');
        }
    }
}


# The log has all of it.

sub end_of {
    my ($text) = @_;

    my @lines = split(/^/, $text);

    return @lines > 20 ? ("...\n", @lines[-20 .. -1]) : @lines;
}


sub step {
    my ($debian, $script) = @_;

    return $debian->online($script) if $script =~ /\bapt |\bmake deb\b/;

    return $debian->reloaded(sub { $debian->ops($script) })
        if $script =~ / -s reload/;

    return $debian->ops($script);
}


sub configure {
    my ($debian, $block, $name) = @_;

    my ($path) = $block->{before} =~ /`([^`]+)`:$/
        or die("$name: in which file?");

    my $text = $debian->read($path);
    my $new  = $block->{text};

    if ($block->{before} =~ /at the top of `/) {
        $text = $new . $text;

    } elsif ($block->{before} =~ /in a `server` block/) {
        $text =~ s/^(\s*server \{\n)/$1$new/m
            or die("$name: no server block in $path");

    } else {
        is($text, '', "$name: $path is new");
        $text = $new;
    }

    $debian->write($path, $text);
}


# What curl, which README has installed, sees at port 80.

sub serves {
    my ($debian, $text, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my ($status, $page) = $debian->ops('curl -s http://127.0.0.1/');

    like($page, qr/\Q$text/, "$name is served");
}
