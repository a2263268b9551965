-- Policies learnt from feedback can be sources, and a model version says what it makes of the states in which decisions were taken.

insert into recsql.source (source_no, source, kind, is_active, reason, description)
values
(28, 'q_learning', 'vector', false, 'worth your while', 'user vector × item vectors of Q-learning'),
(29, 'sarsa', 'vector', false, 'worth your while', 'user vector × item vectors of SARSA'),
(30, 'cql', 'vector', false, 'worth your while', 'user vector × item vectors of conservative Q-learning'),
(31, 'sqn', 'vector', false, 'worth your while', 'user vector × item vectors of next-item prediction with action values'),
(32, 'reinforce', 'vector', false, 'worth your while', 'user vector × item vectors of top-K off-policy REINFORCE'),
(33, 'slate_q', 'vector', false, 'worth your while', 'user vector × item vectors of SlateQ');
update recsql.fusion_policy
set weights = weights || '{"q_learning": 1, "sarsa": 1, "cql": 1, "sqn": 1, "reinforce": 1, "slate_q": 1}'
where policy = 'rrf';

create table recsql.state_vector (
    version_no integer not null,
    user_no integer not null,
    n_before integer not null check (n_before > 0),
    embedding vector not null,
    primary key (version_no, user_no, n_before)
) partition by list (version_no);
comment on table recsql.state_vector is
'One row per model version and state in which a decision was taken: the vector of the user as it was after the first n_before '
'interactions. Its inner product with an item_vector of the same version is what the model said then; recsql.transition says which '
'states there are, and recsql model states fills it in.';
