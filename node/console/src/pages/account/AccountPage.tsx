import { Alert, Badge, Button, Group, PasswordInput, Stack, Text } from '@mantine/core';
import { useMutation, useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import * as api from '../../api/calls';
import type { Session } from '../../api/model';
import { keys, sessionsQuery } from '../../api/queries';
import { DataTable } from '../../parts/DataTable';
import { Loaded } from '../../parts/Loaded';
import { Page } from '../../parts/Page';
import { PassphraseField } from '../../parts/PassphraseField';
import { useProblemText } from '../../parts/problemText';
import { useRoleName } from '../../parts/RoleSelect';
import { Section } from '../../parts/Section';
import { TimeAgo } from '../../parts/TimeAgo';
import { useToasts } from '../../parts/Toasts';
import { useAct } from '../../parts/useAct';
import { useText } from '../../text/TextProvider';
import { LanguageChoice, LookChoice } from '../shell/AccountMenu';
import { useMe } from '../shell/session';

/** One's own passphrase, sign-ins, roles and looks. */
export function AccountPage() {
  const { t } = useText();
  const roleName = useRoleName();
  const me = useMe();
  return (
    <Page title={t('account.title')} lead={me.user.username} narrow>
      <Section title={t('account.passphrase')} lead={t('account.passphraseLead')}>
        <PassphraseForm />
      </Section>
      <Section title={t('account.sessions')} lead={t('account.sessionsLead')}>
        <Sessions />
      </Section>
      <Section title={t('account.roles')}>
        <ul className="plain-list">
          {me.applications.map((one) => (
            <li key={one.id}>
              <Text size="sm">
                {one.name}: {roleName(one)}
              </Text>
            </li>
          ))}
          {me.user.admin && (
            <li>
              <Text size="sm">{t('users.admin')}</Text>
            </li>
          )}
        </ul>
      </Section>
      <Section title={t('account.looks')}>
        <Group align="flex-end">
          <LookChoice />
          <LanguageChoice />
        </Group>
      </Section>
    </Page>
  );
}

function PassphraseForm() {
  const { t } = useText();
  const toasts = useToasts();
  const problemText = useProblemText();
  const [current, setCurrent] = useState('');
  const [next, setNext] = useState('');
  const change = useMutation({
    mutationFn: () => api.changePassword(current, next),
    onSuccess: () => {
      setCurrent('');
      setNext('');
      toasts.done(t('account.passphraseChanged'));
    },
  });
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        change.mutate();
      }}
    >
      <Stack>
        {change.isError && (
          <Alert color="red" role="alert">
            {problemText(change.error)}
          </Alert>
        )}
        <PasswordInput
          label={t('account.current')}
          required
          autoComplete="current-password"
          value={current}
          onChange={(event) => setCurrent(event.currentTarget.value)}
          visibilityToggleButtonProps={{ 'aria-label': t('passphrase.show') }}
        />
        <PassphraseField label={t('field.newPassphrase')} value={next} onChange={setNext} />
        <Group justify="flex-end">
          <Button type="submit" loading={change.isPending}>
            {t('account.change')}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

function Sessions() {
  const { t } = useText();
  const query = useQuery(sessionsQuery);
  const end = useAct({ act: api.endSession, done: t('account.sessionEnded'), touches: [keys.sessions] });
  return (
    <Loaded query={query}>
      {(sessions) => (
        <DataTable
          label={t('account.sessions')}
          rows={sessions}
          rowKey={(session) => session.id}
          columns={[
            { title: t('account.device'), cell: (session) => <Device session={session} /> },
            { title: t('account.since'), cell: (session) => <TimeAgo ms={session.created_ms} />, nowrap: true },
            { title: t('field.expires'), cell: (session) => <TimeAgo ms={session.expires_ms} />, nowrap: true },
            {
              title: t('field.actions'),
              right: true,
              cell: (session) =>
                !session.current && (
                  <Button size="xs" variant="subtle" color="red" onClick={() => end.mutate(session.id)}>
                    {t('account.end')}
                  </Button>
                ),
            },
          ]}
        />
      )}
    </Loaded>
  );
}

function Device({ session }: { session: Session }) {
  const { t } = useText();
  return (
    <Group gap={6}>
      <Text size="sm" className="breakable">
        {deviceOf(session.user_agent ?? '') || t('account.unknownDevice')}
      </Text>
      {session.current && (
        <Badge variant="default" tt="none">
          {t('account.thisOne')}
        </Badge>
      )}
    </Group>
  );
}

/** "Firefox on Linux" from a user agent; the whole text when it is none of the usual. */
export function deviceOf(userAgent: string): string {
  const browser = /(Edg|Firefox|Chrome|Safari)\//.exec(userAgent)?.[1]?.replace('Edg', 'Edge');
  const system = /(Windows|Android|iPhone|iPad|Mac OS X|Linux)/.exec(userAgent)?.[1]?.replace('Mac OS X', 'macOS');
  return browser && system ? `${browser} · ${system}` : userAgent;
}
