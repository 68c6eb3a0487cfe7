import { Button, Group, Modal, Text, TextInput } from '@mantine/core';
import { useInfiniteQuery, useMutation } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { FileClock, ShieldAlert, ShieldCheck } from 'lucide-react';
import { type FormEvent, useState } from 'react';
import * as api from '../../api/calls';
import type { AuditRecord } from '../../api/model';
import { auditQuery } from '../../api/queries';
import { DataTable } from '../../parts/DataTable';
import { fromLocalInput, toLocalInput } from '../../parts/localTime';
import { Page } from '../../parts/Page';
import { Empty, ErrorState, RowsSkeleton } from '../../parts/States';
import { useToasts } from '../../parts/Toasts';
import { useText } from '../../text/TextProvider';
import { useApplication, useMe } from '../shell/session';

/** Who did what, when and from where; every record is chained to the one before. */
export function AuditPage() {
  const { t } = useText();
  const me = useMe();
  const application = useApplication();
  const search = useSearch({ from: '/inside/audit' });
  // Only cluster admins may read the whole log; others read their application's part of it.
  const filter = me.user.admin ? search : { ...search, application: application?.id };
  const found = useInfiniteQuery(auditQuery(filter));
  const [shown, setShown] = useState<AuditRecord | null>(null);
  const records = found.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <Page title={t('audit.title')} lead={t('audit.lead')} actions={me.user.admin && <VerifyButton />}>
      <Filters key={JSON.stringify(search)} />
      {found.isPending && <RowsSkeleton />}
      {found.isError && <ErrorState error={found.error} retry={() => void found.refetch()} />}
      {found.isSuccess && records.length === 0 && (
        <Empty icon={<FileClock />} title={t('audit.none')} text={t('audit.noneText')} />
      )}
      {records.length > 0 && <RecordTable records={records} show={setShown} />}
      {found.hasNextPage && (
        <Group justify="center">
          <Button variant="subtle" loading={found.isFetchingNextPage} onClick={() => void found.fetchNextPage()}>
            {t('action.more')}
          </Button>
        </Group>
      )}
      {shown && <RecordDialog record={shown} close={() => setShown(null)} />}
    </Page>
  );
}

function Filters() {
  const { t } = useText();
  const search = useSearch({ from: '/inside/audit' });
  const navigate = useNavigate({ from: '/audit' });
  const apply = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const data = new FormData(event.currentTarget);
    const value = (name: string) => String(data.get(name) ?? '').trim() || undefined;
    void navigate({
      search: {
        actor: value('actor'),
        action: value('action'),
        target: value('target'),
        result: value('result'),
        from_ms: fromLocalInput(value('from')),
        to_ms: fromLocalInput(value('to')),
      },
    });
  };
  return (
    <form onSubmit={apply} aria-label={t('audit.filters')}>
      <div className="audit-filters">
        <TextInput name="actor" label={t('audit.actor')} defaultValue={search.actor} />
        <TextInput name="action" label={t('audit.action')} placeholder="asset." defaultValue={search.action} />
        <TextInput name="target" label={t('audit.target')} defaultValue={search.target} />
        <TextInput name="result" label={t('audit.result')} placeholder="ok" defaultValue={search.result} />
        <TextInput
          name="from"
          type="datetime-local"
          label={t('audit.from')}
          defaultValue={toLocalInput(search.from_ms)}
        />
        <TextInput name="to" type="datetime-local" label={t('audit.to')} defaultValue={toLocalInput(search.to_ms)} />
        <Group gap="xs" wrap="nowrap" className="audit-buttons">
          <Button type="submit" variant="light">
            {t('audit.apply')}
          </Button>
          <Button variant="subtle" onClick={() => void navigate({ search: {} })}>
            {t('library.clear')}
          </Button>
        </Group>
      </div>
    </form>
  );
}

function RecordTable(props: { records: AuditRecord[]; show: (record: AuditRecord) => void }) {
  const { t, formats } = useText();
  return (
    <DataTable
      label={t('audit.title')}
      rows={props.records}
      rowKey={(record) => String(record.sequence)}
      columns={[
        { title: t('audit.time'), cell: (record) => formats.dateTime(record.time_ms), nowrap: true },
        { title: t('audit.actor'), cell: (record) => record.actor, nowrap: true },
        { title: t('audit.action'), cell: (record) => record.action, nowrap: true },
        { title: t('audit.target'), cell: (record) => record.target },
        { title: t('audit.result'), cell: (record) => record.result, nowrap: true },
        { title: t('audit.address'), cell: (record) => record.address ?? '–', nowrap: true },
        {
          title: t('asset.details'),
          right: true,
          cell: (record) => (
            <Button
              size="xs"
              variant="subtle"
              onClick={() => props.show(record)}
              aria-label={t('audit.show', { sequence: String(record.sequence) })}
            >
              {t('asset.details')}
            </Button>
          ),
        },
      ]}
    />
  );
}

function RecordDialog({ record, close }: { record: AuditRecord; close: () => void }) {
  const { t, formats } = useText();
  const facts: [string, string][] = [
    [t('audit.time'), formats.dateTime(record.time_ms)],
    [t('audit.actor'), record.actor],
    [t('audit.action'), record.action],
    [t('audit.target'), record.target],
    [t('audit.result'), record.result],
    [t('audit.address'), record.address ?? '–'],
    [t('audit.request'), record.request_id ?? '–'],
    ...Object.entries(record.details),
    [t('audit.hash'), record.hash ?? '–'],
  ];
  return (
    <Modal
      opened
      onClose={close}
      size="lg"
      title={t('audit.record', { sequence: String(record.sequence) })}
      closeButtonProps={{ 'aria-label': t('action.close') }}
    >
      <dl className="facts facts-list">
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </Modal>
  );
}

function VerifyButton() {
  const { t } = useText();
  const toasts = useToasts();
  const verify = useMutation({ mutationFn: api.verifyAudit, onError: toasts.failed });
  const result = verify.data;
  return (
    <Group gap="xs">
      {result && (
        <Group gap={6} role="status">
          {result.ok ? <ShieldCheck size={18} className="good" /> : <ShieldAlert size={18} />}
          <Text size="sm">
            {result.ok
              ? t('audit.verified', { sequence: String(result.verified_to ?? '') })
              : t('audit.broken', { reason: result.reason ?? '' })}
          </Text>
        </Group>
      )}
      <Button variant="default" loading={verify.isPending} onClick={() => verify.mutate()}>
        {t('audit.verify')}
      </Button>
    </Group>
  );
}
