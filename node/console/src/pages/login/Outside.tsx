import { Group, Paper, Stack, Title } from '@mantine/core';
import { type ReactNode, useEffect } from 'react';
import { SecurityContact } from '../../parts/SecurityContact';
import { LanguageChoice } from '../shell/AccountMenu';
import { Logo } from '../shell/Logo';

/** The frame of the pages for people who are not logged in: one card on a quiet surface. */
export function Outside(props: { title: string; wide?: boolean; children: ReactNode }) {
  useEffect(() => {
    document.title = `${props.title} · mediakeep`;
  }, [props.title]);
  return (
    <main id="main" tabIndex={-1} className="outside">
      <Stack gap="lg" className={props.wide ? 'outside-card outside-wide' : 'outside-card'}>
        <Group justify="center">
          <Logo />
        </Group>
        <Paper withBorder p={{ base: 'lg', sm: 'xl' }} radius="lg" className="card">
          <Stack gap="lg">
            <Title order={1} ta="center">
              {props.title}
            </Title>
            {props.children}
          </Stack>
        </Paper>
        <Group justify="center">
          <LanguageChoice />
        </Group>
        <SecurityContact />
      </Stack>
    </main>
  );
}
