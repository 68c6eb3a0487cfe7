import {
  ActionIcon,
  Button,
  NativeSelect,
  Popover,
  SegmentedControl,
  Stack,
  Text,
  useMantineColorScheme,
} from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { useQueryClient } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { CircleUserRound } from 'lucide-react';
import * as api from '../../api/calls';
import { keys } from '../../api/queries';
import { ButtonLink } from '../../parts/links';
import { useText } from '../../text/TextProvider';
import { type Language, languages } from '../../text/t';
import { useMe } from './session';

/** Name, looks, language and the way out. */
export function AccountMenu() {
  const { t } = useText();
  const me = useMe();
  const [opened, popover] = useDisclosure(false);
  const client = useQueryClient();
  const navigate = useNavigate();
  const leave = async () => {
    popover.close();
    await api.logOut().catch(() => undefined);
    await navigate({ to: '/login' });
    client.clear();
    client.setQueryData(keys.me, null);
  };
  return (
    <Popover opened={opened} onChange={popover.toggle} position="bottom-end" width={260} trapFocus returnFocus>
      <Popover.Target>
        <ActionIcon size="lg" onClick={popover.toggle} aria-label={t('account.menu', { name: me.user.username })}>
          <CircleUserRound size={22} />
        </ActionIcon>
      </Popover.Target>
      <Popover.Dropdown aria-label={t('account.menuTitle')}>
        <Stack gap="sm">
          <Text fw={600} className="breakable">
            {me.user.username}
          </Text>
          <LookChoice />
          <LanguageChoice />
          <ButtonLink to="/account" variant="default" onClick={popover.close}>
            {t('account.title')}
          </ButtonLink>
          <Button variant="light" onClick={() => void leave()}>
            {t('account.logOut')}
          </Button>
        </Stack>
      </Popover.Dropdown>
    </Popover>
  );
}

export function LookChoice() {
  const { t } = useText();
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  return (
    <SegmentedControl
      fullWidth
      size="xs"
      aria-label={t('look.label')}
      value={colorScheme}
      onChange={(value) => setColorScheme(value as 'light' | 'dark' | 'auto')}
      data={[
        { value: 'light', label: t('look.light') },
        { value: 'dark', label: t('look.dark') },
        { value: 'auto', label: t('look.auto') },
      ]}
    />
  );
}

export function LanguageChoice() {
  const { t, language, setLanguage } = useText();
  return (
    <NativeSelect
      label={t('language')}
      value={language}
      data={languages}
      onChange={(event) => setLanguage(event.currentTarget.value as Language)}
    />
  );
}
