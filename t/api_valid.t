# Why: a document that tools can't read is of no use to those who have tools,
# and one that leaves out an endpoint, a status or an example is not tested by
# t/api_documents.t.  Public validators have to find nothing, and what is there
# has to be all there is.  Known to fail by: an example that does not fit its
# own schema; a $ref to nowhere; a status that is promised and shown by nothing;
# a location that nobody described.  Each of them is tried here, on a copy.

use strict;
use warnings;

use lib 't/lib';

use EventSession;
use EventSession::Documents;
use EventSession::Node;
use File::Basename ();
use Test::More;

my $missing = EventSession::Node->missing;

plan(skip_all => $missing) if $missing;

my $t     = EventSession->new;
my $count = 0;

my $openapi  = EventSession::Redis::slurp('conf/openapi.yaml');
my $asyncapi = EventSession::Redis::slurp('conf/asyncapi.yaml');


# as they are

is_deeply([ findings('conf/openapi.yaml', 'conf/asyncapi.yaml') ], [],
    'validators find nothing');

my ($operations, $exchanges)   = openapi('conf/openapi.yaml');
my ($channels, $conversations) = asyncapi('conf/asyncapi.yaml');

is_deeply([ lacking($operations, $exchanges) ], [],
    'each status and each example of a request has its exchange');
is_deeply([ silent($channels, $conversations) ], [],
    'each message and each code has its conversation');


is_deeply([ misfits($t, 'conf/asyncapi.yaml', examples()) ], [],
    'each example of a message fits its schema');

my %known = map { $_->{operationId} => 1 } @$operations;

is_deeply([ grep { !$known{$_} } $openapi =~ /operationId: (\w+)/g ], [],
    'each link leads to an operation');


# all endpoints, and nothing else

my %located = map { place($_) => 1 } locations('conf/eventsession.conf');

my %described = map { s/\{.*//r => 1 }
    map { $_->{url} } @$operations, @$channels;

is_deeply([ sort(keys(%described)) ], [ sort(keys(%located)) ],
    'each location is described');

is_deeply([ grep { !m{^= /(?:openapi\.yaml|asyncapi\.yaml|docs)$|^/docs/$} }
    locations('conf/run.conf.in') ], [],
    'make run serves them and these documents');

my ($version) = EventSession::Redis::slurp('CHANGES.md')
    =~ /eventsession (\d+\.\d+\.\d+)/;

like($_, qr/^  version: \Q$version\E$/m, 'of this version')
    for $openapi, $asyncapi;


# what is broken is found; all of it at once, as validators take their time

my @broken = (
    [ 'a $ref to nowhere',
      $openapi =~ s{schemas/Accepted'}{schemas/Excepted'}r ],
    [ 'no such type', $openapi =~ s/type: integer/type: number of/r ],
    [ 'an example of a request that does not fit',
      $openapi =~ s/email: diego\@chefhero\.com/email: [diego]/r ],
    [ 'an example of a reply that does not fit',
      $openapi =~ s/accepted: 2/accepted: two/r ],
    [ 'an argument that does not fit', $openapi =~ s/value: 999\b/value: x/r ],
    [ 'two operations of one name',
      $openapi =~ s/operationId: ready$/operationId: readFeed/mr ],
    [ 'no YAML', $openapi =~ s/^paths:/paths: [/mr ],
    [ 'no such action', $asyncapi =~ s/action: send/action: sing/r ],
    [ 'no such message',
      $asyncapi =~ s{messages/bye'\n\n    x-}{messages/hello'\n\n    x-}r ],
);

my @files = map { written($_->[1]) } @broken;
my %found = map { /^(\S+)/ => 1 } findings(@files);

for my $i (0 .. $#broken) {
    my ($name, $text) = @{ $broken[$i] };

    ok($text ne $openapi && $text ne $asyncapi, "$name: is another document");
    ok($found{ File::Basename::basename($files[$i]) }, "$name: is found");
}


# a status or an example that nothing is sent for

lacks('a status without an example',
    $openapi =~ s/^(\s+)x-examples:\n\s+deleted:\n.*\n//mr,
    'no answer: /session/{id} id deleted', 'no example: deleteSession 204');
lacks('an example without an answer',
    $openapi =~ s/^( +)notTrusted:(?=\n +value)/$1notAtAll:/mr,
    'no answer: /api/v1/events/ application notAtAll');

sub lacks {
    my ($name, $broken, @lacking) = @_;

    is_deeply([ sort(lacking(openapi(written($broken)))) ], \@lacking, $name);
}


is_deeply([ silent(asyncapi(written($asyncapi =~ s/close: \{code: 1002\}//r)))
    ], [ 'nobody closes with 1002' ], 'a code without a conversation');

is_deeply([ silent(asyncapi(written($asyncapi =~ s/^\s+- receive: refused\n//mr
    ))) ], [ 'not said: refused' ], 'a message that is not said');


# what does not fit its schema

is(scalar(misfits($t, written($asyncapi =~ s/ack: 5/ack: five/r),
    [ '/components/messages/ack/payload', '{"ack":"five","events":1}' ])), 1,
    'an ack that is none');

my $worker = '/components/schemas/Worker';
my $fine   = '{"id":1,"shard_id":0,"events_count":0,'
    . '"created_at":"2023-07-20T17:06:14.831Z"}';

is_deeply([ misfits($t, 'conf/openapi.yaml', [ $worker, $fine ]) ], [],
    'a worker fits');

for my $bad ($fine =~ s/"id":1/"id":9007199254740992/r, $fine =~ s/"id"/"ID"/r,
    $fine =~ s/17:06/17.06/r, '[]')
{
    is(scalar(misfits($t, 'conf/openapi.yaml', [ $worker, $bad ])), 1,
        'and this does not') or diag($bad);
}

done_testing();


sub examples {
    return map { [ $_->{schema}, $_->{text} ] }
        map { values(%{ $_->{messages} }) } @$channels;
}


sub place { $_[0] =~ s/^= //r }


sub written {
    my ($text) = @_;

    my $path = $t->dir . '/' . ++$count . '.yaml';

    open(my $file, '>', $path) or die "$path: $!";
    print {$file} $text;
    close($file);

    return $path;
}
