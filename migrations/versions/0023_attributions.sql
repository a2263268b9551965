-- What single events add to what a model of vectors says, and the words of reasons, which get one home.

create table recsql.attribution (
    version_no integer not null,
    user_no integer not null,
    item_no integer not null,
    embedding vector not null,
    primary key (version_no, user_no, item_no)
) partition by list (version_no);
comment on table recsql.attribution is
'One row per model version, user and item that the user had of late: the user''s vector less what the version makes of the user''s '
'history without the item. Its inner product with an item_vector of the same version is what the event adds to the score.';

create table recsql.phrase (
    language text not null check (language ~ '^[a-z]{2,3}(-[A-Za-z0-9]+)*$'),
    key text not null check (key <> ''),
    template text not null check (template <> ''),
    primary key (language, key)
);
comment on table recsql.phrase is
'One row per language and clause of a reason or an explanation. language: a tag as de or pt-BR; key: a source, or new, seen, history, '
'ranker, rule and what else explain_recommendation tells; template: the clause, in which {title} is the item that speaks for it, '
'{reason} another clause, and {name} and {value} what is told of. What a language lacks is said in en. Rows, not code.';

insert into recsql.phrase (language, key, template)
select
    'en', s.source,
    s.reason || case when s.kind in ('similarity', 'vector') and s.history_length is not null then ' {title}' else '' end
from recsql.source as s;

insert into recsql.phrase (language, key, template)
values
('en', 'history', 'fits what you chose before'),
('en', 'new', 'new here'),
('en', 'seen', 'you know it; nothing new is left'),
('en', 'ranker', 'fits you, all things considered'),
('en', 'rule', 'put forward by rule {name}'),
('en', 'rule_against', 'held back by rule {name}'),
('en', 'against', '{title} speaks against it'),
('en', 'occlusion', '{reason}, less so without {title} (by occlusion)'),
('en', 'occlusion_against', '{reason}, more so without {title} (by occlusion)'),
('en', 'rest', '{reason}: all that you had together'),
('en', 'undivided', '{reason} (not to be divided among what you had)'),
('en', 'position', 'shown at position {value}'),
('en', 'exploration', 'drawn by chance, at this position with probability {value}'),
('en', 'control', '{name} was {value}'),
('de', 'sequential', 'kommt oft nach {title}'),
('de', 'ease', 'passt zu {title}'),
('de', 'cosine', 'beliebt bei allen, die {title} mochten'),
('de', 'content', 'inhaltlich ähnlich wie {title}'),
('de', 'transformer', 'passt zu deiner letzten Auswahl'),
('de', 'trending', 'gerade gefragt'),
('de', 'popularity', 'beliebt'),
('de', 'jaccard', 'hat dasselbe Publikum wie {title}'),
('de', 'conditional', 'oft zusammen mit {title}'),
('de', 'llr', 'ungewöhnlich oft zusammen mit {title}'),
('de', 'pearson', 'ähnlich bewertet wie {title}'),
('de', 'slit', 'folgt oft auf {title}'),
('de', 'slit_long', 'passt zu allen, die {title} hatten'),
('de', 'ease_whole', 'passt zu {title}'),
('de', 'cosine_whole', 'beliebt bei allen, die {title} mochten'),
('de', 'user_cosine', 'beliebt bei Leuten wie dir'),
('de', 'user_transformer', 'beliebt bei Leuten wie dir'),
('de', 'popular_segment', 'bei Leuten wie dir gefragt'),
('de', 'new_items', 'neu'),
('de', 'cross_domain', 'passt zu dem, was du sonst magst'),
('de', 'gru4rec', 'passt zu deiner letzten Auswahl'),
('de', 'nextitnet', 'passt zu deiner letzten Auswahl'),
('de', 'bert4rec', 'passt zu deiner letzten Auswahl'),
('de', 'joint', 'passt zu deiner letzten Auswahl'),
('de', 'two_tower', 'passt zu deinem Geschmack'),
('de', 'als', 'passt zu deinem Geschmack'),
('de', 'bpr', 'passt zu deinem Geschmack'),
('de', 'neumf', 'passt zu deinem Geschmack'),
('de', 'q_learning', 'lohnt sich für dich'),
('de', 'sarsa', 'lohnt sich für dich'),
('de', 'cql', 'lohnt sich für dich'),
('de', 'sqn', 'lohnt sich für dich'),
('de', 'reinforce', 'lohnt sich für dich'),
('de', 'slate_q', 'lohnt sich für dich'),
('de', 'history', 'passt zu dem, was du früher gewählt hast'),
('de', 'new', 'neu hier'),
('de', 'seen', 'kennst du schon; Neues ist nicht übrig'),
('de', 'ranker', 'passt alles in allem zu dir'),
('de', 'rule', 'vorgezogen durch Regel {name}'),
('de', 'rule_against', 'zurückgestellt durch Regel {name}'),
('de', 'against', '{title} spricht dagegen'),
('de', 'occlusion', '{reason}, ohne {title} weniger (durch Weglassen gemessen)'),
('de', 'occlusion_against', '{reason}, ohne {title} mehr (durch Weglassen gemessen)'),
('de', 'rest', '{reason}: alles zusammen, was du hattest'),
('de', 'undivided', '{reason} (nicht aufzuteilen auf das, was du hattest)'),
('de', 'position', 'gezeigt an Stelle {value}'),
('de', 'exploration', 'vom Zufall gezogen, an dieser Stelle mit Wahrscheinlichkeit {value}'),
('de', 'control', '{name} war {value}');

alter table recsql.source alter column reason drop not null;
update recsql.source set reason = null;
comment on column recsql.source.reason is
'What recommend() says of a source that has no row in phrase; of one that reads the user''s items, the title of one of them follows.';
